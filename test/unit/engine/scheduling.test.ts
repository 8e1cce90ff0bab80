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
    const startedAt = performance.now()
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
    expect(performance.now() - startedAt).toBeGreaterThan(4 * 15)
    expect(Math.min(...served)).toBeGreaterThan(2)
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

suite('the sessions of each run', () => {
  test('are announced before it, and none before other work and at the end', async () => {
    const engine = await tinySessions({ limits: { chunkTokens: [4, 4] } })
    const [first, second] = [open(engine, 9, interactive), open(engine, 9, interactive)]
    const answers = await Promise.all([
      engine.sessions.generate(first, rows(2, 6)),
      engine.sessions.generate(second, [row(20)]),
    ])
    await engine.sessions.score(second, [{ sequence: answers[1]![0]!.sequence, suffix: [6] }], [7])
    await new Promise(setImmediate)
    const announced = engine.running
    expect(announced.filter((ids) => ids.length > 0)).toHaveLength(engine.runs.length)
    expect(announced[0]).toEqual([first, second])
    const alone = announced.findIndex((ids) => ids.join() === `${second}`)
    expect(alone).toBeGreaterThan(0)
    // The head's logits of the verdict, and the end.
    const last = announced.findLastIndex((ids) => ids.length > 0)
    expect(announced[last]).toEqual([second])
    expect(announced.length - last).toBeGreaterThan(2)
  })

  test('are one when that is isolated: its rows share runs with one another only', async () => {
    const limits = { chunkTokens: [4, 4] } as const
    const together = await tinySessions({ limits })
    const expected = await together.sessions.generate(open(together, 9, interactive), rows(3, 20))

    const engine = await tinySessions({ limits })
    const isolated = open(engine, 9, { ...interactive, isolated: true })
    const others = [open(engine, 9, interactive), open(engine, 9, interactive)]
    const [answers] = await Promise.all([
      engine.sessions.generate(isolated, rows(3, 20)),
      ...others.map((session) => engine.sessions.generate(session, rows(2, 20))),
    ])
    expect(answers!.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens))
    const runs = engine.running.filter((ids) => ids.length > 0)
    expect(runs.filter((ids) => ids.includes(isolated)).every((ids) => ids.length === 1)).toBe(true)
    expect(runs.some((ids) => ids.length === 2)).toBe(true)
    expect(engine.runs.some(({ rows }) => rows === 3)).toBe(true)
    // They take turns: neither waits for the other to end.
    const turns = runs.map((ids) => ids.includes(isolated))
    expect(turns.indexOf(false)).toBeLessThan(turns.lastIndexOf(true))
    expect(turns.indexOf(true)).toBeLessThan(turns.lastIndexOf(false))
  })
})

test('a run ends when the first of its rows will be stopped', async () => {
  const engine = await tinySessions({ limits: { chunkTokens: [64, 64] } })
  const stepsOf = async (order: object) => {
    const before = engine.runs.length
    await engine.sessions.generate(open(engine, 9, { ...interactive, ...order }), [row(60)])
    // The first run feeds the prompt, and decodes a token.
    return engine.runs.slice(before + 1).map(({ steps }) => steps)
  }
  expect((await stepsOf({}))[0]).toBe(59)
  expect((await stepsOf({ stopAfterMs: 60_000 }))[0]).toBe(59)
  const short = await stepsOf({ stopAfterMs: 1 })
  expect(short[0]).toBeLessThan(59)
  // The session is not stopped, and goes on in the shortest runs.
  expect(short.length).toBeGreaterThan(10)
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

suite('callers', () => {
  const from = (caller: string) => ({ ...interactive, caller })
  const limits = {
    chunkTokens: [8, 8],
    shared: { chunkTokens: [2, 2], runMs: 1000, lightMs: 0, turnMs: 0 },
  } as const

  /** One request: an answer of one row, and its verdict. Returns its tokens and the runs meanwhile. */
  async function ask(engine: TinySessions, length: number) {
    const before = engine.runs.length
    const session = open(engine, length, from('polite'))
    const [answer] = await engine.sessions.generate(session, [row(20, length)])
    await engine.sessions.score(session, [{ sequence: answer!.sequence, suffix: [6, 7] }], [8])
    engine.sessions.close(session)
    return { tokens: answer!.tokens, runs: engine.runs.slice(before) }
  }

  test('one with 48 sessions of 64 rows leaves another at most one short run for each of its own', async () => {
    const alone = await tinySessions({ limits })
    const engine = await tinySessions({ limits })
    const expected = []
    for (let length = 5; length < 25; length++) expected.push(await ask(alone, length))

    const hostile = Array.from({ length: 48 }, (_, index) => open(engine, 5 + (index % 20), from('hostile')))
    const work = hostile.map((session) => engine.sessions.generate(session, rows(64, 60)).catch(() => null))
    await untilRuns(engine, 4)
    for (const [index, { tokens, runs }] of expected.entries()) {
      const beside = await ask(engine, 5 + index)
      expect(beside.tokens).toEqual(tokens)
      const others = beside.runs.filter(({ rows }) => rows > 1)
      // The first request finds no division yet: a run of the usual length, or all rows being fed.
      expect(others.length).toBeLessThanOrEqual(runs.length + 1)
      expect(beside.runs.length - others.length).toBeLessThanOrEqual(runs.length + 1)
      if (index > 0) for (const { rows, steps } of others) expect(rows * steps).toBeLessThanOrEqual(16 * 2)
    }
    // The hostile caller is served, too.
    const decoding = engine.runs.filter(({ rows }) => rows === 16)
    expect(decoding.length).toBeGreaterThan(expected.length)
    for (const session of hostile) engine.sessions.close(session)
    await Promise.all(work)
  })

  test('with few rows share their runs', async () => {
    const engine = await tinySessions({ limits })
    const sessions = ['a', 'b', 'c', 'd'].map((caller) => open(engine, 9, from(caller)))
    await Promise.all(sessions.map((session) => engine.sessions.embed(session)))
    const before = engine.runs.length
    await Promise.all(sessions.map((session) => engine.sessions.generate(session, rows(4, 8))))
    expect(engine.runs[before]).toMatchObject({ rows: 16, steps: 8 })
  })

  test('that are all heavy take turns, row by row', async () => {
    const engine = await tinySessions({ limits: { ...limits, maxRunningRows: 4 } })
    const served: string[] = []
    const work = ['a', 'b'].map(async (caller) => {
      const session = open(engine, 9, from(caller))
      await engine.sessions.embed(session)
      const each = rows(12, 8).map((one) =>
        engine.sessions.generate(session, [one]).then(() => served.push(caller)),
      )
      await Promise.all(each)
    })
    await Promise.all(work)
    const firstHalf = served.slice(0, 12).filter((caller) => caller === 'a').length
    expect(firstHalf).toBeGreaterThanOrEqual(4)
    expect(firstHalf).toBeLessThanOrEqual(8)
  })
})
