/** @file Several engine processes of one model: all work, and the death of one does not affect the others. */

import { constants, getPriority } from 'node:os'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, suite, test, vi } from 'vitest'
import { createEngine, type Engine } from '#engine'
import type { GenerationRow, LatentSession } from '#ports'
import { type TinyModelDirectory, tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'

const never = () => new AbortController().signal
const soon = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 2 })
const prompt = (index: number) => [1, 4, ...Array.from({ length: 6 }, (_, i) => 10 + ((index * 7 + i) % 54))]
/** Sampled, so that every session has a different answer. */
const rows = (index: number, count = 12): GenerationRow[] =>
  Array.from({ length: count }, (_, seed) => ({
    prefix: [],
    temperature: 3,
    seed: 100 * index + seed,
    maxNewTokens: 60,
    latents: 0,
  }))

let model: TinyModelDirectory
let engine: Engine

const replicas = () => engine.status().replicas
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Opens a session and returns its process. */
async function openOn(index: number): Promise<{ session: LatentSession; replica: number }> {
  const before = replicas().map(({ sessions }) => sessions)
  const session = await engine.open(prompt(index), { signal: never() })
  return { session, replica: replicas().findIndex(({ sessions }, at) => sessions > before[at]!) }
}

async function answersAlone(index: number): Promise<readonly (readonly number[])[]> {
  const { session } = await openOn(index)
  const answers = await session.generate(rows(index))
  session.close()
  return answers.map(({ tokens }) => tokens)
}

beforeAll(async () => {
  model = await tinyModelDirectory({ width: 128, heads: 4, layers: 6 })
  engine = await createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    replicas: 2,
    logger: pino({ level: 'silent' }),
  })
})

afterAll(async () => {
  await engine.close()
  await model[Symbol.asyncDispose]()
})

suite('two engine processes', () => {
  test('share the work, a session staying where it was opened', async () => {
    expect(new Set(replicas().map(({ pid }) => pid)).size).toBe(2)
    const opened = []
    for (const index of [0, 1, 2, 3]) opened.push(await openOn(index))
    expect(opened.map(({ replica }) => replica)).toEqual([0, 1, 0, 1])
    const work = Promise.all(opened.map(({ session }, index) => session.generate(rows(index))))
    await soon(() => expect(replicas().every(({ runningRows }) => runningRows > 0)).toBe(true))
    const status = engine.status()
    expect(status.sessions).toBe(4)
    expect(status.runningRows).toBe(replicas()[0]!.runningRows + replicas()[1]!.runningRows)
    const answers = await work
    // The process that answered holds the caches: verdicts must go there too.
    for (const [index, { session }] of opened.entries()) {
      const [verdict] = await session.score([{ sequence: answers[index]![0]!.sequence, suffix: [6] }], [7, 8])
      expect([...verdict!].every(Number.isFinite)).toBe(true)
    }
    expect(replicas().every(({ cacheBytes }) => cacheBytes > 0)).toBe(true)
    for (const { session } of opened) session.close()
    expect(replicas().map(({ sessions }) => sessions)).toEqual([0, 0])
    for (const index of [0, 1, 2, 3]) {
      expect(answers[index]!.map(({ tokens }) => tokens)).toEqual(await answersAlone(index))
    }
  })

  test('a new session goes to the process with the least work: rows in flight count, not only sessions', async () => {
    const busy = await openOn(0)
    const work = busy.session.generate(rows(0))
    const others = []
    for (const index of [1, 2, 3]) others.push(await openOn(index))
    expect(others.every(({ replica }) => replica !== busy.replica)).toBe(true)
    await work
    for (const { session } of [busy, ...others]) session.close()
  })

  test('one is killed under load: its sessions fail, the others answer, it is restarted', async () => {
    const expected = await Promise.all([0, 1, 2, 3, 4, 5].map(answersAlone))
    const opened = []
    for (const index of [0, 1, 2, 3, 4, 5]) opened.push(await openOn(index))
    const outcomes = opened.map(({ session }, index) =>
      session.generate(rows(index)).then(
        (answers) => answers.map(({ tokens }) => tokens),
        (error: { code: string }) => error.code,
      ),
    )
    await soon(() => expect(replicas().every(({ runningRows }) => runningRows > 0)).toBe(true))
    const [, victim] = replicas()
    process.kill(victim!.pid!, 'SIGKILL')
    await soon(() => expect(replicas()[1]!.state).toBe('restarting'))
    expect(engine.status()).toMatchObject({ state: 'ready', pid: replicas()[0]!.pid })
    // New sessions do not wait for the restart.
    const next = await openOn(6)
    expect(next.replica).toBe(0)
    expect(
      await engine.head.decode({ data: new Float32Array(128), length: 1, width: 128 }, never()),
    ).toHaveLength(1)
    for (const [index, outcome] of (await Promise.all(outcomes)).entries()) {
      const died = expect.stringMatching(/^ENGINE_CRASHED(_BY_REQUEST)?$/)
      expect(outcome).toEqual(opened[index]!.replica === 1 ? died : expected[index])
    }
    await expect(next.session.embed()).resolves.toHaveLength(128)
    for (const { session } of [...opened, next]) session.close()

    await soon(() => expect(replicas().map(({ state }) => state)).toEqual(['ready', 'ready']))
    expect(replicas().map(({ restarts }) => restarts)).toEqual([0, 1])
    expect(engine.status()).toMatchObject({ restarts: 1, sessions: 0, waitingRows: 0, runningRows: 0 })
    expect(replicas()[1]!.pid).not.toBe(victim!.pid)
    const again = [await openOn(0), await openOn(1)]
    expect(again.map(({ replica }) => replica)).toEqual([0, 1])
    const answers = await Promise.all(again.map(({ session }, index) => session.generate(rows(index))))
    expect(answers.map((rows) => rows.map(({ tokens }) => tokens))).toEqual(expected.slice(0, 2))
    for (const { session } of again) session.close()
  })

  test('both killed: sessions wait for the first restarted process', async () => {
    for (const { pid } of replicas()) process.kill(pid!, 'SIGKILL')
    await soon(() => expect(engine.status().state).toBe('restarting'))
    expect(engine.status()).toMatchObject({ pid: null, provider: 'cpu' })
    expect(await answersAlone(0)).toHaveLength(12)
    await soon(() => expect(replicas().map(({ state }) => state)).toEqual(['ready', 'ready']))
  })

  test('closing ends both', async () => {
    const pids = replicas().map(({ pid }) => pid!)
    await engine.close()
    expect(pids.map(isAlive)).toEqual([false, false])
    expect(engine.status()).toMatchObject({ state: 'closed', pid: null })
    await expect(engine.open(prompt(0), { signal: never() })).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    })
  })
})

test('an engine in the background runs at the lowest priority, and answers', async () => {
  const options = {
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    inBackground: true,
  } as const
  const quiet = await createEngine({ ...options, logger: pino({ level: 'silent' }) })
  try {
    expect(getPriority(quiet.status().pid!)).toBe(constants.priority.PRIORITY_LOW)
    const session = await quiet.open(prompt(1), { signal: never() })
    expect(await session.generate(rows(1, 1))).toHaveLength(1)
    session.close()
  } finally {
    await quiet.close()
  }
})
