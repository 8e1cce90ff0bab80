/** @file Overload and callers that abort: quick refusals, bounded memory, no leaks. */

import { existsSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, suite, test, vi } from 'vitest'
import { createEngine, type Engine } from '#engine'
import { createRandom } from '#tensor'
import { type TinyModelDirectory, tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'

const MAX_WAITING_ROWS = 16
/** Upper bound on the rows that run at the same time on the CPU. */
const LANES = 32

let model: TinyModelDirectory
let engine: Engine

/** A prompt of 24 tokens, long enough to be kept; the first 16 are the same for all. */
const prompt = (index: number) => [
  1,
  ...Array.from({ length: 15 }, (_, i) => 10 + i),
  ...Array.from({ length: 8 }, (_, i) => 10 + ((index * 7 + i * 3) % 54)),
]

async function solve(index: number, signal = new AbortController().signal): Promise<'solved'> {
  const session = await engine.open(prompt(index), { signal })
  try {
    const [answer] = await session.generate([
      { prefix: [], temperature: 2, seed: index, maxNewTokens: 60, latents: 0 },
    ])
    const [verdict] = await session.score([{ sequence: answer!.sequence, suffix: [6] }], [7, 8])
    expect([...verdict!].every(Number.isFinite)).toBe(true)
    return 'solved'
  } finally {
    session.close()
  }
}

beforeAll(async () => {
  model = await tinyModelDirectory({ width: 128, heads: 4, layers: 6 })
  engine = await createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    maxWaitingRows: MAX_WAITING_ROWS,
    logger: pino({ level: 'silent' }),
  })
})

afterAll(async () => {
  await engine.close()
  await model[Symbol.asyncDispose]()
})

suite('an engine offered ten times its capacity', () => {
  test('refuses quickly, with a retry time, and answers the admitted sessions', async () => {
    const offered = 10 * (LANES + MAX_WAITING_ROWS)
    const refusals: { ms: number; code: string; retryAfterSeconds: number }[] = []
    let mostSessions = 0
    let mostWaiting = 0
    let solved = 0
    await solve(0)
    const memoryBefore = peakMemory()
    const request = async (index: number) => {
      const offeredAt = performance.now()
      try {
        await solve(index)
        solved += 1
      } catch (error) {
        refusals.push({ ...(error as (typeof refusals)[number]), ms: performance.now() - offeredAt })
      }
      const { sessions, waitingRows } = engine.status()
      mostSessions = Math.max(mostSessions, sessions)
      mostWaiting = Math.max(mostWaiting, waitingRows)
    }
    const requests = []
    for (let index = 0; index < offered; index++) {
      requests.push(request(index))
      if (index % 24 === 23) await setTimeout(5)
    }
    await Promise.all(requests)

    expect(solved + refusals.length).toBe(offered)
    expect(solved).toBeGreaterThan(MAX_WAITING_ROWS)
    expect(refusals.length).toBeGreaterThan(offered / 4)
    expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(['ENGINE_OVERLOADED']))
    // A refusal waits for nothing. The slowest waits for a core of a busy machine.
    const times = refusals.map(({ ms }) => ms).sort((a, b) => a - b)
    expect(times[Math.floor(times.length / 2)]).toBeLessThan(100)
    for (const { retryAfterSeconds } of refusals) {
      // How many seconds depends on the machine; the unit test of admission compares them with the rate.
      expect(Number.isInteger(retryAfterSeconds)).toBe(true)
      expect(retryAfterSeconds).toBeGreaterThanOrEqual(1)
      expect(retryAfterSeconds).toBeLessThanOrEqual(60)
    }
    // Those that were refused do not come again all at once.
    expect(new Set(refusals.map(({ retryAfterSeconds }) => retryAfterSeconds)).size).toBeGreaterThan(2)
    expect(mostSessions).toBeLessThanOrEqual(LANES + MAX_WAITING_ROWS)
    expect(mostWaiting).toBeLessThanOrEqual(LANES + MAX_WAITING_ROWS)
    expect(peakMemory() - memoryBefore).toBeLessThan(150)
    await expectEmpty()
    expect(await solve(1)).toBe('solved')
  })

  test('200 callers that abort at random leave only kept prompts', async () => {
    const random = createRandom(9)
    const outcomes: string[] = []
    const caller = async (index: number) => {
      const going = new AbortController()
      const solving = solve(index, going.signal).catch((error: { code: string }) => error.code)
      await setTimeout(Math.floor(random.uniform() * 150))
      going.abort()
      outcomes.push(await solving)
    }
    const callers = []
    for (let index = 0; index < 200; index++) {
      callers.push(caller(index))
      if (index % 8 === 7) await setTimeout(10)
    }
    await Promise.all(callers)
    expect(outcomes.filter((outcome) => outcome === 'ABORTED').length).toBeGreaterThan(20)
    expect(outcomes.every((outcome) => ['ABORTED', 'ENGINE_OVERLOADED', 'solved'].includes(outcome))).toBe(
      true,
    )
    await expectEmpty()
    expect(await solve(2)).toBe('solved')
  })
})

/**
 * Expects empty queues, and no caches but those of prompts kept for later: at most 64 of 24 positions, 6144
 * bytes each.
 */
async function expectEmpty(): Promise<void> {
  await vi.waitFor(() => {
    const status = engine.status()
    expect(status).toMatchObject({ sessions: 0, waitingSessions: 0, waitingRows: 0, runningRows: 0 })
    expect(status.cachedSequences).toBe(status.keptPrompts)
    expect(status.keptPrompts).toBeLessThanOrEqual(64)
    expect(status.cacheBytes).toBeLessThanOrEqual(64 * 24 * 6144)
  })
}

/** Peak memory of the engine process in MiB; 0 if the system does not report it. */
function peakMemory(): number {
  const file = `/proc/${engine.status().pid}/status`
  if (!existsSync(file)) return 0
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(file, 'utf8'))?.[1]) / 1024
}
