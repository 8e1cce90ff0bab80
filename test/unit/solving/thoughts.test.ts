import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, tokenOf, type World } from '../../support/linear-model.ts'
import { scriptedRewardModel } from '../../support/scripted-reward-model.ts'
import { route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const keeping = (thoughts: number, world: World = TWO_FLIPS): World => ({
  ...world,
  profile: { defaults: { ...TEST_PROFILE.defaults, thoughts } },
})

/** Counts the thoughts that were asked for: the model makes one for each. */
function counted(world: World) {
  const made: (readonly number[])[] = []
  const thought = (tokens: readonly number[]) => {
    made.push(tokens)
    return { data: Float32Array.of(tokens[0]!, 1), layers: 1, width: 2 }
  }
  return { made, world: { ...world, thought } }
}

describe('an episode keeps how its answers were thought', () => {
  test('of every strategy', async () => {
    for (const strategy of ['greedy', 'latentseek', 'auto', 'majority', 'lto'] as const) {
      const episodes = createEpisodesInMemory()
      await solverOn(TWO_FLIPS, { episodes }).solve({ strategy })
      const thoughts = episodes.added[0]!.candidates.map(({ thought }) => thought)

      expect(thoughts.length, strategy).toBeGreaterThan(0)
      for (const thought of thoughts) expect(thought, strategy).toMatchObject({ layers: 2 })
    }
  })

  test('of no more answers than the profile says: the one returned, then in order', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(keeping(2), { episodes }).solve({ strategy: 'latentseek' })

    const kept = episodes.added[0]!.candidates.map(({ answer, thought }) => [answer, thought !== null])
    expect(kept).toEqual([
      ['1', true],
      ['2', false],
      ['3', true],
    ])
  })

  test('as far as half precision can hold it', async () => {
    const episodes = createEpisodesInMemory()
    const thought = (tokens: readonly number[]) => ({
      data: Float32Array.of(tokens[0] === tokenOf('b') ? 70_000 : 60_000),
      layers: 1,
      width: 1,
    })
    await solverOn({ ...TWO_FLIPS, thought }, { episodes }).solve({ strategy: 'latentseek' })

    const kept = episodes.added[0]!.candidates.map(({ thought }) => thought !== null)
    expect(kept).toEqual([true, false, true])
  })
})

test.each([
  [0.2, false],
  [0.3, true],
])('an answer that the latent reward model gives %d steers others: %s', async (probability, steers) => {
  const episodes = createEpisodesInMemory()
  const rewardModel = scriptedRewardModel({ a: probability })
  const world = { routes: { a: route('1', 0.95) }, firstLogits: { a: 3 } }
  const learned = () => ({ weaver: identityWeaver, rewardModel })
  const { confidence } = await solverOn(world, { episodes, activeModels: learned }).solve({
    strategy: 'greedy',
  })

  expect(confidence).toBeCloseTo(probability)
  const [episode] = episodes.added
  expect(episode!.admitted).toBe(steers)
  expect(episode!.latents !== null).toBe(steers)
  // What it teaches the reward model is a matter of its label.
  expect(episode!.candidates[0]!.meetsAdmission).toBe(true)
})

describe('nobody is asked for a thought', () => {
  test('by a request that teaches nothing while there is no model', async () => {
    const { made, world } = counted(TWO_FLIPS)
    const episodes = createEpisodesInMemory()
    await solverOn(world, { episodes }).solve({ strategy: 'latentseek', learn: false })
    await solverOn(world).solve({ strategy: 'majority' })
    await solverOn(keeping(0, world), { episodes }).solve({ strategy: 'latentseek' })
    expect(made).toEqual([])

    await solverOn(world).solve({ strategy: 'lto', samples: 3 })
    expect(made).toHaveLength(3)
  })

  test('but by one whose answer a model will look at', async () => {
    const { made, world } = counted({ routes: { a: route('1', 0.95) }, firstLogits: { a: 3 } })
    const rewardModel = scriptedRewardModel({})
    await solverOn(world, { activeModels: () => ({ weaver: identityWeaver, rewardModel }) }).solve({
      strategy: 'greedy',
      learn: false,
    })
    expect(made).toHaveLength(1)
  })
})
