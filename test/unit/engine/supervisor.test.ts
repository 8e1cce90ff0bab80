import { pino } from 'pino'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { zeroCounters } from '../../../src/engine/counters.ts'
import type { ServeOptions } from '../../../src/engine/protocol.ts'
import { superviseEngine } from '../../../src/engine/supervisor.ts'

const { connectChild } = vi.hoisted(() => ({ connectChild: vi.fn() }))
vi.mock('../../../src/engine/child-connection.ts', () => ({ connectChild }))

/** Sleeps by the clock of the test; the timers of `node:timers/promises` would go on by the real one. */
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number) => new Promise((resolve) => globalThis.setTimeout(resolve, ms)),
}))

/** Time, in ms, that a process takes to load its model. */
const LOAD_MS = 40_000

let die: () => void

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  let processes = 0
  connectChild.mockImplementation(async () => {
    await new Promise((resolve) => globalThis.setTimeout(resolve, LOAD_MS))
    const { promise: exited, resolve } = Promise.withResolvers<string>()
    die = () => resolve('killed by SIGKILL')
    return {
      pid: ++processes,
      provider: 'cpu',
      thoughtLayers: 0,
      exited,
      totals: zeroCounters,
      isHung: () => false,
    }
  })
})
afterEach(() => {
  vi.useRealTimers()
})

async function started() {
  const starting = superviseEngine({} as ServeOptions, {
    logger: pino({ level: 'silent' }),
    heartbeatLimitMs: 5000,
  })
  await vi.advanceTimersByTimeAsync(LOAD_MS)
  return await starting
}

test('requests wait for a restart up to twice as long as the model took to load', async () => {
  const supervisor = await started()
  die()
  await vi.advanceTimersByTimeAsync(0)
  expect(supervisor.state()).toBe('restarting')
  const connection = supervisor.connection()
  await vi.advanceTimersByTimeAsync(2 * LOAD_MS)
  expect(await connection).toMatchObject({ pid: 2 })
})

test('requests fail when the restart takes longer, with the time of a start as Retry-After', async () => {
  const supervisor = await started()
  connectChild.mockImplementation(() => new Promise(() => {}))
  die()
  await vi.advanceTimersByTimeAsync(0)
  const failure = expect(supervisor.connection()).rejects.toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    retryAfterSeconds: LOAD_MS / 1000,
  })
  await vi.advanceTimersByTimeAsync(2 * LOAD_MS + 5000)
  await failure
})
