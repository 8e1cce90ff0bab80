import { expect, test } from 'vitest'
import { createLimiter } from '#keys'
import { type Counters, createOwnCounters } from '../../../src/keys/counters.ts'

function world() {
  const shared = createOwnCounters()
  const state = { down: false, asked: 0, now: 0, lines: [] as string[] }
  const ask = <T>(answer: () => Promise<T>) => {
    state.asked += 1
    return state.down ? Promise.reject(new Error('no route to host')) : answer()
  }
  const counters: Counters = {
    add: (...given) => ask(() => shared.add(...given)),
    read: (...given) => ask(() => shared.read(...given)),
  }
  const log = (message: string) => state.lines.push(message)
  const logger = { info: log, warn: (_details: object, message: string) => log(message) }
  const limiter = () => createLimiter({ counters, logger, clock: () => state.now })
  return { state, limiter }
}

const key = {
  keyId: 'k',
  limits: { rate: { amount: 2, seconds: 60 }, tokens: { amount: 10, seconds: 3_600 } },
}

test('a caller without a key, or a key without limits, is never counted', async () => {
  const { state, limiter } = world()
  const limits = { rate: null, tokens: null }
  for (const caller of [
    { keyId: null, limits: key.limits },
    { keyId: 'k', limits },
  ]) {
    expect(await limiter().take(caller)).toEqual({ quotas: [], exceeded: null })
    await limiter().spend(caller, 5)
  }
  expect(state.asked).toBe(0)
})

test('the limit that ends last refuses', async () => {
  const { limiter } = world()
  const process = limiter()
  await process.spend(key, 10)
  for (let request = 0; request < 2; request++)
    expect((await process.take(key)).exceeded).toMatchObject({ name: 'tokens' })
  const { quotas, exceeded } = await process.take(key)
  expect(quotas.map(({ name, remaining }) => [name, remaining])).toEqual([
    ['requests', 0],
    ['tokens', 0],
  ])
  expect(exceeded).toMatchObject({ name: 'tokens', resetSeconds: 3_600 })
})

test('while the shared counters do not answer, each process counts alone, and says so once', async () => {
  const { state, limiter } = world()
  const [one, other] = [limiter(), limiter()]
  state.down = true
  for (const process of [one, other]) {
    for (const isWithin of [true, true, false])
      expect((await process.take(key)).exceeded === null).toBe(isWithin)
    await process.spend(key, 100)
  }
  expect(state.lines).toEqual(Array(2).fill(expect.stringContaining('each process counts alone')))
  // The outage is not asked about at every request.
  expect(state.asked).toBeLessThanOrEqual(4)
  state.down = false
  state.now = 6_000
  expect((await one.take(key)).exceeded).toBeNull()
  expect(state.lines.at(-1)).toContain('available again')
})
