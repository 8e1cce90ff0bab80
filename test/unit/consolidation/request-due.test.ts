import { expect, test } from 'vitest'
import type { Consolidation } from '#artifacts'
import { requestDueConsolidations } from '#consolidation'

const NOW = Date.UTC(2026, 0, 1)
const DAY_MS = 24 * 3_600_000
const at = (days: number) => new Date(NOW + days * DAY_MS).toISOString()

/** @param added days from now at which the episodes of the model were stamped */
function parts(
  added: number[],
  last: { created: number; newest: number | null; found: number } | null,
  frozenSince: string | null = null,
) {
  const warnings: object[] = []
  const requested: unknown[] = []
  const lastOne =
    last && ({ id: 'last', kinds: ['lrm'], createdAt: at(last.created), finishedAt: at(0) } as never)
  return {
    warnings,
    requested,
    consolidations: {
      list: async () => (lastOne === null ? [] : [lastOne as Consolidation]),
      coverage: async () =>
        last?.newest == null ? null : { newestAt: new Date(at(last.newest)), episodes: last.found },
      request: async (wish: unknown) => {
        requested.push(wish)
        return { id: 'new' } as Consolidation
      },
    },
    artifacts: { active: async () => ({}) },
    learning: { state: async () => ({ frozenSince, reason: null }) },
    training: {
      models: async () => ['model'],
      countSince: async (_model: string, since: Date | null) =>
        added.filter((days) => since === null || NOW + days * DAY_MS > since.getTime()).length,
    },
    logger: { warn: (details: object) => void warnings.push(details) },
  }
}

const due = (of: ReturnType<typeof parts>) =>
  requestDueConsolidations(of, { trigger: 'episodes', minNewEpisodes: 3, clock: () => NOW })

test('counts the episodes after the newest one of the last consolidation', async () => {
  const few = parts([-2, -2, -2, -1, -1], { created: -1, newest: -2, found: 3 })
  expect(await due(few)).toEqual([])
  const enough = parts([-2, -2, -2, -1, -1, -1], { created: -1, newest: -2, found: 3 })
  expect(await due(enough)).toHaveLength(1)
  expect([...few.warnings, ...enough.warnings]).toEqual([])
})

test('requests none while learning is frozen', async () => {
  const frozen = parts([-1, -1, -1], null, at(-2))
  expect(await due(frozen)).toEqual([])
  expect(await due(parts([-1, -1, -1], null))).toHaveLength(1)
})

test('counts episodes by number when the newest one of the last consolidation is in the future', async () => {
  const future = [40, 40, 40, 40]
  const last = { created: 40, newest: 40, found: 4 }
  const few = parts([...future, -1, -1], last)
  expect(await due(few)).toEqual([])
  expect(few.warnings).toEqual([{ consolidation: 'last', newest: at(40) }])
  expect(await due(parts([...future, -1, -1, -1], last))).toHaveLength(1)
  // The next one found all seven, and the clock is still behind the future ones.
  expect(await due(parts([...future, -1, -1, -1], { created: 0, newest: 40, found: 7 }))).toEqual([])
})

test('requests one after a consolidation that failed in the future, before its snapshot', async () => {
  expect(await due(parts([-1, -1, -1], { created: 40, newest: null, found: 0 }))).toHaveLength(1)
})

test('accepts clocks that differ by minutes', async () => {
  const one = parts([0, 0, 0], { created: 0, newest: 1 / 24 / 60, found: 0 })
  expect(await due(one)).toEqual([])
  expect(one.warnings).toEqual([])
})
