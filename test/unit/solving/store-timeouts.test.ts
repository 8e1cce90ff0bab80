import { describe, expect, test } from 'vitest'
import type { EpisodeStore } from '#episodes'
import { createSolver, type SolverDeps } from '#solving'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { createLinearModel } from '../../support/linear-model.ts'
import { REQUEST, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

/** Rejects when the signal fires, as the store of a frozen database does. */
function hang(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  signal?.addEventListener('abort', () => reject(new Error('no answer in time')))
  return promise
}

function frozen(method: 'add' | 'recollect'): EpisodeStore {
  return { ...createEpisodesInMemory(), [method]: (_: unknown, signal?: AbortSignal) => hang(signal) }
}

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const started = performance.now()
  const result = await work()
  return { ms: performance.now() - started, result }
}

describe('a store that does not answer', () => {
  test('delays the answer by the timeout of retrieval', async () => {
    const storeTimeouts = { retrievalMs: 40, commitMs: 10_000 }
    const { solve } = solverOn(TWO_FLIPS, { episodes: frozen('recollect'), storeTimeouts })
    const { ms, result } = await timed(() => solve({ strategy: 'auto' }))
    expect(result).toMatchObject({ answer: '3', degraded: ['retrieval'], retrieved: [] })
    expect(result.episodeId).not.toBeNull()
    expect(ms).toBeGreaterThan(35)
    expect(ms).toBeLessThan(2_000)
  })

  test('delays the answer by the timeout of the commit', async () => {
    const storeTimeouts = { retrievalMs: 10_000, commitMs: 300 }
    const { solve } = solverOn(TWO_FLIPS, { episodes: frozen('add'), storeTimeouts })
    const { ms, result } = await timed(() => solve())
    expect(result).toMatchObject({ answer: '3', degraded: ['learning'], episodeId: null })
    expect(ms).toBeGreaterThan(290)
    expect(ms).toBeLessThan(2_000)
  })

  test('leaves the commit the rest of the budget, and at least 250 ms', async () => {
    const storeTimeouts = { retrievalMs: 10_000, commitMs: 10_000 }
    const { solve } = solverOn(TWO_FLIPS, { episodes: frozen('add'), storeTimeouts })
    const rest = await timed(() => solve({ budget: { maxMs: 800 } }))
    expect(rest.ms).toBeGreaterThan(700)
    expect(rest.ms).toBeLessThan(2_000)
    const floor = await timed(() => solve({ budget: { maxMs: 100 } }))
    expect(floor.ms).toBeGreaterThan(245)
    expect(floor.ms).toBeLessThan(2_000)
  })

  test('is logged once, then at most once a minute with a count', async () => {
    let now = 0
    const lines: [details: object, message: string][] = []
    const deps: SolverDeps = {
      engine: createLinearModel(TWO_FLIPS),
      episodes: createEpisodesInMemory({ failing: ['add'] }),
      logger: { info() {}, warn: (details, message) => void lines.push([details, message]) },
      clock: { now: () => now },
    }
    const solver = createSolver(deps)
    const solve = () => solver.solve(REQUEST, { signal: new AbortController().signal })
    for (let request = 0; request < 4; request++) await solve()
    expect(lines).toHaveLength(1)
    now = 61_000
    await solve()
    const message = 'episode store unavailable: answering without an episode'
    expect(lines.map(([, text]) => text)).toEqual([message, message])
    expect(lines[1]![0]).toMatchObject({ repeated: 3 })
  })
})
