import { expect, test } from 'vitest'
import type { Coverage } from '../../../src/artifacts/sql/consolidation-coverage.ts'
import { takeSnapshot } from '../../../src/consolidation/take-snapshot.ts'

test('waits for labels by counting pending episodes, takes one snapshot and notes what it covered', async () => {
  const calls: string[] = []
  const noted: Coverage[] = []
  const newestAt = new Date('2026-03-01T10:00:00Z')
  const pending = [2, 1, 0]
  const context = {
    consolidation: { id: 'one', fingerprint: 'model', force: true },
    signal: new AbortController().signal,
    consolidations: { noteCoverage: async (_id: string, coverage: Coverage) => void noted.push(coverage) },
    training: {
      countPending: async () => {
        calls.push('pending')
        return pending.shift()
      },
      snapshot: async () => {
        calls.push('snapshot')
        // Another episode has arrived meanwhile.
        return { episodes: [], counts: { episodes: 7, pending: 1 }, newestAt }
      },
    },
  }
  const snapshot = await takeSnapshot(context as never, 'lrm')
  expect(calls).toEqual(['pending', 'pending', 'pending', 'snapshot'])
  expect(noted).toEqual([{ newestAt, episodes: 7 }])
  expect(snapshot).toMatchObject({ newestAt: newestAt.toISOString(), skipped: null })
})

test.each([
  ['lrm', 'thoughts'],
  ['judge', 'answers'],
  ['weaver', 'latents'],
] as const)(
  'takes for the kind %s the episodes with %s: a judge needs no layer states',
  async (kind, material) => {
    const asked: unknown[] = []
    const context = {
      consolidation: { id: 'one', fingerprint: 'model', force: true },
      signal: new AbortController().signal,
      consolidations: { noteCoverage: async () => {} },
      training: {
        countPending: async () => 0,
        async snapshot(request: { readonly material: string }) {
          asked.push(request.material)
          return { episodes: [], counts: { episodes: 0, pending: 0 }, newestAt: null }
        },
      },
    }
    await takeSnapshot(context as never, kind)
    expect(asked).toEqual([material])
  },
)
