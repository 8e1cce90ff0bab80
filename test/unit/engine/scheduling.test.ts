/** @file Order of rows: priorities, deadlines, and no starvation. */

import { expect, suite, test } from 'vitest'
import type { GenerationRow } from '#ports'
import { type TinySessions, tinySessions } from '../../support/tiny-sessions.ts'

/** Samples so hot that rows rarely end before their bound. */
const row = (maxNewTokens: number, seed = 1): GenerationRow => ({
  prefix: [],
  temperature: 5,
  seed,
  maxNewTokens,
  latents: 0,
})
const rows = (count: number, maxNewTokens: number) =>
  Array.from({ length: count }, (_, seed) => row(maxNewTokens, seed))
const prompt = (length: number) => Array.from({ length }, (_, index) => 6 + ((length + index * 5) % 50))
const interactive = { priority: 'interactive', deadlineMs: null } as const
const background = { priority: 'background', deadlineMs: null } as const

let lastSession = 0

function open({ sessions }: TinySessions, length: number, order: Parameters<typeof sessions.open>[2]) {
  lastSession += 1
  sessions.open(lastSession, prompt(length), order)
  return lastSession
}

async function untilRuns({ runs }: TinySessions, count: number): Promise<void> {
  while (runs.length < count) await new Promise(setImmediate)
}

suite('background rows', () => {
  test('give way to interactive ones, and their answers are the same', async () => {
    const limits = { chunkTokens: [2, 2], backgroundWaitMs: 60_000 } as const
    const alone = await tinySessions({ limits })
    const expected = await alone.sessions.generate(open(alone, 5, background), rows(4, 60))

    const engine = await tinySessions({ limits })
    let isReplayed = false
    const replay = engine.sessions.generate(open(engine, 5, background), rows(4, 60)).finally(() => {
      isReplayed = true
    })
    await untilRuns(engine, 4)
    const session = open(engine, 9, interactive)
    const before = engine.runs.length
    const [answer] = await engine.sessions.generate(session, [row(20)])
    expect(isReplayed).toBe(false)
    expect(answer!.generatedTokens).toBeGreaterThan(4)
    // No background row shared a run with the interactive row or ran between its runs.
    const since = engine.runs.slice(before)
    expect(since.slice(1).every((run) => run.rows === 1)).toBe(true)
    expect(since.length).toBeLessThanOrEqual(2 + Math.ceil(answer!.generatedTokens / 2))
    expect((await replay).map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens))
  })

  test('take short turns now and then under any number of interactive rows', async () => {
    const engine = await tinySessions({ limits: { chunkTokens: [8, 32], backgroundWaitMs: 15 } })
    let isReplayed = false
    const replay = engine.sessions.generate(open(engine, 5, background), rows(2, 40)).finally(() => {
      isReplayed = true
    })
    const lane = async (index: number) => {
      const session = open(engine, 7, interactive)
      let served = 0
      while (!isReplayed && served < 5000) {
        await engine.sessions.generate(session, [row(4, index)])
        served += 1
      }
      return served
    }
    const served = await Promise.all([0, 1].map(lane))
    expect(isReplayed).toBe(true)
    await replay
    // They still gave way: five turns of eight tokens, 15 ms apart.
    expect(Math.min(...served)).toBeGreaterThan(15)
  })
})

test('each run is announced with the duration to expect of it, once a run of its kind was timed', async () => {
  const engine = await tinySessions({ limits: { chunkTokens: [4, 4] } })
  await engine.sessions.generate(open(engine, 9, interactive), [row(20)])
  const [feed, decode, ...later] = engine.expectedMs
  expect([feed, decode]).toEqual([20_000, 20_000])
  expect(later.length).toBeGreaterThan(0)
  for (const ms of later) expect(ms).toBeLessThan(2000)
  expect(engine.expectedMs).toHaveLength(engine.runs.length)
})

suite('rows of equal priority', () => {
  test('a stream of short requests does not starve a long one', async () => {
    // Rows share no run here, so they must take turns.
    const engine = await tinySessions({ limits: { maxInputTokens: 1, chunkTokens: [2, 2] } })
    const short = open(engine, 9, interactive)
    const other = open(engine, 5, interactive)
    await Promise.all([short, other].map((session) => engine.sessions.embed(session)))
    let isDone = false
    const long = engine.sessions.generate(other, [row(60, 2)]).finally(() => {
      isDone = true
    })
    let served = 0
    for (; !isDone && served < 500; served++) await engine.sessions.generate(short, [row(2, served)])
    expect(isDone).toBe(true)
    const [answer] = await long
    expect(answer!.generatedTokens).toBeGreaterThan(20)
    // Turn by turn: no more short requests than the long one had chunks, and a few around them.
    expect(served).toBeLessThanOrEqual(answer!.generatedTokens / 2 + 5)
  })

  test('the earliest deadline is served first; without a deadline, the session opened first', async () => {
    const engine = await tinySessions({ limits: { maxRunningRows: 1, chunkTokens: [4, 4] } })
    const served: string[] = []
    const submit = (name: string, session: number) =>
      engine.sessions.generate(session, [row(12)]).then(() => served.push(name))
    const first = open(engine, 5, interactive)
    const second = open(engine, 6, interactive)
    const hasty = open(engine, 7, { priority: 'interactive', deadlineMs: 200 })
    const patient = open(engine, 8, { priority: 'interactive', deadlineMs: 120_000 })
    await Promise.all([
      submit('patient', patient),
      submit('second', second),
      submit('first', first),
      submit('hasty', hasty),
    ])
    expect(served).toEqual(['hasty', 'first', 'second', 'patient'])
  })
})
