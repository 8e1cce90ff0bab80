import { describe, expect, test } from 'vitest'
import { transferMomentum } from '#algorithms'
import { type ErrorCode, ServiceError } from '#errors'
import type { Latents, Weaver } from '#ports'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE } from '../../support/linear-model.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'
import { weaverTo } from '../../support/weaver-to.ts'

const AUTO = { strategy: 'auto' } as const

function failing(code: ErrorCode): Weaver {
  const apply = () => Promise.reject(new ServiceError(code, 'weave: expected numbers, got NaN'))
  return { version: 'weaver-1', apply }
}

const learnedFrom = (weaver: Weaver) => () => ({ weaver, rewardModel: null })

describe('a trained weaver', () => {
  test('leads a search whose draft failed, with no memory at all', async () => {
    const weaver = weaverTo('c')
    const { solve, engine } = solverOn(TWO_FLIPS, { activeModels: learnedFrom(weaver) })
    const solution = await solve({ ...AUTO, learn: false, retrieval: false })

    expect(solution).toMatchObject({ answer: '3', iterations: 0, evaluations: 1, base: { answer: '1' } })
    expect(solution.model.weaverVersion).toBe('weaver-1')
    expect(engine.calls.embed).toBe(1)
    expect(weaver.runs).toHaveLength(1)
    expect(weaver.runs[0]![0]!.embedding).toHaveLength(engine.hiddenSize)
  })

  test('is not asked where the request does without it, or the strategy does', async () => {
    const weaver = weaverTo('c')
    const { solve } = solverOn(TWO_FLIPS, { activeModels: learnedFrom(weaver) })
    const without = await solve({ ...AUTO, weaver: false })
    await solve({ strategy: 'latentseek' })

    expect(without.model.weaverVersion).toBeNull()
    expect(weaver.runs).toEqual([])
  })

  test.each(['residual', 'paper'] as const)('moves with memory by %s momentum', async (momentum) => {
    const episodes = createEpisodesInMemory()
    await solverOn(TWO_FLIPS, { episodes }).solve(AUTO)
    const { embedding, latents } = episodes.added[0]!
    const weaver = weaverTo('b', 1.5)
    const defaults = { ...TEST_PROFILE.defaults, momentum }
    const world = { ...TWO_FLIPS, profile: { defaults } }
    const { solve, engine } = solverOn(world, { episodes, activeModels: learnedFrom(weaver) })
    const decoded: Latents[] = []
    const decode = engine.head.decode.bind(engine.head)
    engine.head.decode = (given, signal) => {
      decoded.push(given)
      return decode(given, signal)
    }
    await solve({ ...AUTO, learn: false })

    expect(weaver.runs[0]).toHaveLength(momentum === 'residual' ? 2 : 1)
    const neighbour = { episodeId: 'e', similarity: 1, embedding, ...latents! }
    const expected = await transferMomentum(
      { embedding, zBase: weaver.runs[0]![0]!.zBase },
      [{ neighbour, weight: 1 }],
      // The neighbour's answer leaves its draft at the first token.
      { weaver: weaverTo('b', 1.5), momentum, maxShift: defaults.maxShift, positions: [1] },
    )
    // The first call reads the tokens of the neighbour.
    expect(decoded[1]).toEqual(expected)
  })
})

describe('a weaver that fails', () => {
  test.each(['ARTIFACT_INVALID', 'SESSION_FAILED', 'SHAPE_MISMATCH'] as const)(
    'with %s leaves the answer to memory and search, and is named',
    async (code) => {
      const episodes = createEpisodesInMemory()
      await solverOn(TWO_FLIPS, { episodes }).solve(AUTO)
      const { solve, warnings } = solverOn(TWO_FLIPS, { episodes, activeModels: learnedFrom(failing(code)) })

      expect(await solve({ ...AUTO, learn: false })).toMatchObject({
        answer: '3',
        iterations: 0,
        degraded: ['weaver'],
      })
      const alone = await solve({ ...AUTO, learn: false, retrieval: false })
      expect(alone).toMatchObject({ answer: '3', degraded: ['weaver'] })
      expect(alone.iterations).toBeGreaterThan(3)
      expect(warnings).toHaveLength(2)
    },
  )

  test('because the engine crashed has the request start over', async () => {
    let crashes = 1
    const sound = weaverTo('c')
    const weaver: Weaver = {
      version: 'weaver-1',
      apply: (rows) => (crashes-- > 0 ? failing('ENGINE_CRASHED') : sound).apply(rows),
    }
    const { solve, engine } = solverOn(TWO_FLIPS, { activeModels: learnedFrom(weaver) })

    expect(await solve({ ...AUTO, retrieval: false })).toMatchObject({ answer: '3', degraded: [] })
    expect(engine.calls.open).toBe(2)
  })

  test('to answer does not hold up a request whose time is up', async () => {
    const weaver: Weaver = { version: 'weaver-1', apply: () => new Promise<never>(() => {}) }
    const { solve } = solverOn(TWO_FLIPS, { activeModels: learnedFrom(weaver) })

    const solution = await solve({ ...AUTO, retrieval: false, budget: { maxMs: 40 } })

    expect(solution).toMatchObject({ answer: '1', stopped: 'maxMs', degraded: [] })
  })
})
