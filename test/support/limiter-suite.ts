/** @file The tests of the limits of keys over shared counters, run on every store that may hold them. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLimiter, createSharedCounters, type Limiter } from '#keys'

type Store = Parameters<typeof createSharedCounters>[0]

export function describeLimiter(
  name: string,
  open: () => Promise<{ readonly store: Store; close(): Promise<void> }>,
): void {
  describe(`limits of keys on ${name}`, () => {
    let opened: Awaited<ReturnType<typeof open>>
    const warnings: string[] = []
    const logger = { info() {}, warn: (_details: object, message: string) => warnings.push(message) }
    let processes: readonly Limiter[]

    beforeAll(async () => {
      opened = await open()
      processes = [0, 1].map(() => createLimiter({ counters: createSharedCounters(opened.store), logger }))
    })
    afterAll(async () => {
      await opened.close()
      expect(warnings).toEqual([])
    })

    it('hold across processes, also for requests at once', async () => {
      const key = { keyId: randomUUID(), limits: { rate: { amount: 20, seconds: 60 }, tokens: null } }
      const verdicts = await Promise.all(
        Array.from({ length: 30 }, (_, index) => processes[index % 2]!.take(key)),
      )
      expect(verdicts.filter(({ exceeded }) => exceeded === null)).toHaveLength(20)
      const refused = verdicts.flatMap(({ exceeded }) => exceeded ?? [])
      expect(refused).toHaveLength(10)
      for (const quota of refused)
        expect(quota).toMatchObject({ name: 'requests', limit: 20, windowSeconds: 60, remaining: 0 })
      expect(Math.max(...refused.map(({ resetSeconds }) => resetSeconds))).toBeLessThanOrEqual(60)
      expect(verdicts.map(({ quotas }) => quotas[0]?.remaining).sort()).toEqual(
        [...Array.from({ length: 20 }, (_, left) => left), ...Array(10).fill(0)].sort(),
      )
    })

    it('are those of each key', async () => {
      const limits = { rate: { amount: 1, seconds: 60 }, tokens: null }
      for (const keyId of [randomUUID(), randomUUID()]) {
        expect((await processes[0]!.take({ keyId, limits })).exceeded).toBeNull()
        expect((await processes[1]!.take({ keyId, limits })).exceeded).not.toBeNull()
      }
    })

    it('count tokens after the answer: the request that goes beyond is the last', async () => {
      const key = { keyId: randomUUID(), limits: { rate: null, tokens: { amount: 100, seconds: 3_600 } } }
      expect((await processes[0]!.take(key)).quotas).toEqual([
        { name: 'tokens', limit: 100, windowSeconds: 3_600, remaining: 100, resetSeconds: 3_600 },
      ])
      await processes[0]!.spend(key, 60)
      expect((await processes[1]!.take(key)).quotas[0]?.remaining).toBe(40)
      await processes[1]!.spend(key, 70)
      const { exceeded } = await processes[0]!.take(key)
      expect(exceeded).toMatchObject({ name: 'tokens', remaining: 0 })
    })

    it('begin again at the end of their window', async () => {
      const key = { keyId: randomUUID(), limits: { rate: { amount: 1, seconds: 1 }, tokens: null } }
      expect((await processes[0]!.take(key)).exceeded).toBeNull()
      expect((await processes[1]!.take(key)).exceeded).not.toBeNull()
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      expect((await processes[1]!.take(key)).exceeded).toBeNull()
    })
  })
}
