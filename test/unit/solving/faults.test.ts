import { describe, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { type Call, TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

/** The engine dies at the n-th call of a kind, `times` times, in runs of others or of the request itself. */
function crashingAt(
  call: Call,
  nth: number,
  times = 1,
  code: 'ENGINE_CRASHED' | 'ENGINE_CRASHED_BY_REQUEST' = 'ENGINE_CRASHED',
): World {
  let count = 0
  let left = times
  return {
    ...TWO_FLIPS,
    before(made) {
      if (made !== call || ++count < nth || left === 0) return
      left -= 1
      throw new ServiceError(code, 'engine: expected its process alive, got SIGKILL')
    },
  }
}

/** All that must not depend on a crash. */
function story<T extends { id: string; timings: unknown; episodeId: unknown }>(solution: T) {
  const { id: _id, timings: _timings, episodeId: _episodeId, ...rest } = solution
  return rest
}

describe('an engine that crashes', () => {
  test.each([
    ['open', 1],
    ['generate', 1],
    ['score', 2],
    ['ascend', 2],
    ['generate', 3],
  ] as const)('in %s (call %d) costs the request a second attempt and nothing else', async (call, nth) => {
    const calm = solverOn(TWO_FLIPS, { episodes: createEpisodesInMemory() })
    const undisturbed = await calm.solve({ strategy: 'auto' })
    const episodes = createEpisodesInMemory()
    const { solve, engine, events, warnings } = solverOn(crashingAt(call, nth), { episodes })

    const solution = await solve({ strategy: 'auto' })

    expect(story(solution)).toEqual(story(undisturbed))
    expect(events).toEqual(calm.events)
    expect(episodes.added).toHaveLength(1)
    expect(episodes.added[0]!.candidates).toHaveLength(3)
    expect(engine.openSessions).toBe(0)
    expect(warnings).toHaveLength(1)
  })

  test('again and again in runs of others costs the request nothing but time, up to four times', async () => {
    const calm = await solverOn(TWO_FLIPS).solve()
    const { solve, engine, warnings } = solverOn(crashingAt('score', 1, 4))
    expect(story(await solve())).toEqual(story(calm))
    expect(engine.opened.map(({ isolated }) => isolated)).toEqual([false, false, false, false, false])
    expect(warnings).toHaveLength(4)
  })

  test('in a run of the request costs it a second attempt alone', async () => {
    const calm = await solverOn(TWO_FLIPS).solve()
    const { solve, engine } = solverOn(crashingAt('score', 1, 1, 'ENGINE_CRASHED_BY_REQUEST'))
    expect(story(await solve())).toEqual(story(calm))
    expect(engine.opened.map(({ isolated }) => isolated)).toEqual([false, true])
  })

  test('in a run of the request, then in one of others, lets it try alone again', async () => {
    let crashes = 0
    const { solve, engine } = solverOn({
      ...TWO_FLIPS,
      before(call) {
        if (call !== 'generate' || ++crashes > 2) return
        throw new ServiceError(crashes === 1 ? 'ENGINE_CRASHED_BY_REQUEST' : 'ENGINE_CRASHED', 'engine: died')
      },
    })
    expect(await solve()).toMatchObject({ answer: '3' })
    expect(engine.opened.map(({ isolated }) => isolated)).toEqual([false, true, true])
  })

  test('twice in runs of the request gets it refused', async () => {
    const episodes = createEpisodesInMemory()
    const world = crashingAt('score', 1, 2, 'ENGINE_CRASHED_BY_REQUEST')
    const { solve, engine, warnings } = solverOn(world, { episodes })

    await expect(solve()).rejects.toMatchObject({ code: 'ENGINE_CRASHED_BY_REQUEST' })
    expect(engine.opened).toHaveLength(2)
    expect(engine.openSessions).toBe(0)
    expect(episodes.added).toEqual([])
    expect(warnings.at(-1)).toBe('engine crashed each time it ran a request: the request is refused')
  })

  test('five times fails the request, and leaves nothing behind', async () => {
    const episodes = createEpisodesInMemory()
    const { solve, engine } = solverOn(crashingAt('score', 1, 5), { episodes })

    await expect(solve()).rejects.toMatchObject({ code: 'ENGINE_CRASHED' })
    expect(episodes.added).toEqual([])
    expect(engine.openSessions).toBe(0)

    await expect(solve()).resolves.toMatchObject({ answer: '3' })
  })

  test('that has no room refuses a request before its prompt is written', async () => {
    const { solve, engine } = solverOn(TWO_FLIPS)
    const full = new ServiceError('ENGINE_OVERLOADED', 'engine: expected room', { retryAfterSeconds: 1 })
    Object.assign(engine, {
      checkRoom: () => {
        throw full
      },
    })
    // The prompt would be refused as well, if it were written.
    await expect(solve({ question: '1 '.repeat(252) })).rejects.toBe(full)
    expect(engine.openSessions).toBe(0)
  })

  test.each(['ENGINE_OVERLOADED', 'PROMPT_TOO_LONG', 'ENGINE_UNAVAILABLE'] as const)(
    'is not what %s means: no second attempt',
    async (code) => {
      const { solve, engine } = solverOn({
        ...TWO_FLIPS,
        before(call) {
          if (call === 'open') throw new ServiceError(code, 'test: refused')
        },
      })

      await expect(solve()).rejects.toMatchObject({ code })
      expect(engine.calls.open).toBe(1)
    },
  )

  test.each(['generate', 'ascend'] as const)(
    'is not what a session means that ends during %s, with time left and a caller waiting',
    async (where) => {
      const { solve } = solverOn({
        ...TWO_FLIPS,
        before(call) {
          if (call === where) throw new ServiceError('ABORTED', 'engine: closing')
        },
      })
      await expect(solve()).rejects.toMatchObject({ code: 'ABORTED' })
    },
  )
})

describe('a store that fails', () => {
  test('costs the memory of the answer, not the answer', async () => {
    const { solve, warnings } = solverOn(TWO_FLIPS, {
      episodes: createEpisodesInMemory({ failing: ['add'] }),
    })
    const solution = await solve()

    expect(solution).toMatchObject({ answer: '3', episodeId: null, degraded: ['learning'] })
    expect(warnings).toHaveLength(1)
  })
})

describe('a latent reward model that does not exist yet', () => {
  test('is named as missing when asked for, and its weight goes to the others', async () => {
    const plain = await solverOn(TWO_FLIPS).solve()
    const asked = await solverOn(TWO_FLIPS).solve({ reward: { lrm: 5 } })

    expect(asked.degraded).toEqual(['lrm'])
    expect(asked.reward).toBe(plain.reward)
    expect(plain.degraded).toEqual([])
  })

  test('leaves the profile’s own weights when nothing else was asked for', async () => {
    const alone = { lrm: 1, verifier: 0, format: 0 }
    const plain = await solverOn(TWO_FLIPS).solve({ strategy: 'greedy' })
    const asked = await solverOn(TWO_FLIPS).solve({ strategy: 'greedy', reward: alone })

    expect(asked.reward).toBe(plain.reward)
    expect(asked.degraded).toEqual(['lrm'])
  })

  test('leaves the verifier when the profile has no other weight either', async () => {
    const rewardWeights = { lrm: 1, verifier: 0, format: 0 }
    const profile = { defaults: { ...TEST_PROFILE.defaults, rewardWeights } }
    const solution = await solverOn({ ...TWO_FLIPS, profile }).solve({ strategy: 'greedy', explain: true })

    expect(Object.keys(solution.candidates![0]!.rewardTerms)).toEqual(['verifier', 'verifier.correctness'])
    expect(solution.degraded).toEqual(['lrm'])
  })
})

describe('weights of the request', () => {
  test('replace the profile’s one by one', async () => {
    const rewardWith = async (reward: { verifier?: number; format?: number }) =>
      (await solverOn(TWO_FLIPS).solve({ strategy: 'greedy', reward })).reward

    expect(await rewardWith({})).toBeCloseTo(-0.9 / 3, 6)
    expect(await rewardWith({ verifier: 2 })).toBeCloseTo((-0.9 * 2) / 4, 6)
    expect(await rewardWith({ format: 0 })).toBeCloseTo(-0.9, 6)
    expect(await rewardWith({ verifier: 0 })).toBe(0)
  })

  test('are refused when none is left above 0', async () => {
    const solving = solverOn(TWO_FLIPS).solve({ strategy: 'greedy', reward: { verifier: 0, format: 0 } })
    await expect(solving).rejects.toMatchObject({ code: 'REQUEST_INVALID', faults: [{ pointer: '/reward' }] })
  })
})
