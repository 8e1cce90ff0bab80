import { expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { REQUEST, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const { signal } = new AbortController()
const WISH = { tenantId: 'default', question: REQUEST.question, topK: 3, minSimilarity: 0.5 }

test('finds what a solve of the same question would retrieve, and keeps nothing', async () => {
  const episodes = createEpisodesInMemory()
  const { solve, solver, engine } = solverOn(TWO_FLIPS, { episodes })
  const solved = await solve()
  await solve({ strategy: 'auto', learn: false })
  const { neighbours, promptTokens } = await solver.recall(WISH, { signal, caller: 'tenant default' })
  expect(neighbours).toEqual([{ episodeId: solved.episodeId, similarity: expect.closeTo(1, 5) }])
  expect(promptTokens).toBe(solved.usage.promptTokens)
  const [bySolve, byRecall] = episodes.queries
  expect(byRecall?.embedding).toEqual(bySolve?.embedding)
  expect(engine.opened.at(-1)).toMatchObject({ caller: 'tenant default' })
  expect(episodes.added).toHaveLength(1)
  expect(engine.openSessions).toBe(0)
})

test('closes its session when the store or the engine fails', async () => {
  const failing = solverOn(TWO_FLIPS, { episodes: createEpisodesInMemory({ failing: ['nearest'] }) })
  await expect(failing.solver.recall(WISH, { signal })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  const gone = { signal: AbortSignal.abort() }
  await expect(failing.solver.recall(WISH, gone)).rejects.toMatchObject({ code: 'ABORTED' })
  expect(failing.engine.openSessions).toBe(0)
  expect((await solverOn(TWO_FLIPS).solver.recall(WISH, { signal })).neighbours).toEqual([])
})

test('is refused before its prompt is written where the engine has no room', async () => {
  const { solver, engine } = solverOn(TWO_FLIPS)
  const full = new ServiceError('ENGINE_OVERLOADED', 'engine: expected room', { retryAfterSeconds: 1 })
  Object.assign(engine, {
    checkRoom: () => {
      throw full
    },
  })
  // The prompt would be refused as well, if it were written.
  const long = { ...WISH, question: '1 '.repeat(252) }
  await expect(solver.recall(long, { signal })).rejects.toBe(full)
})
