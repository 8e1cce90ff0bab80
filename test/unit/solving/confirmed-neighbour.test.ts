/** @file A draft that is good enough, where memory holds another answer to the same question that a caller called right. */

import { describe, expect, test } from 'vitest'
import type { EpisodeStore } from '#episodes'
import type { Neighbour, Policy } from '#ports'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const AUTO = { strategy: 'auto' } as const
/** Nothing pays: every draft is returned. */
const STOP: Policy = { signal: 'verifier', medium: [{ from: 0, strategy: 'greedy' }] }
const VOTE: Policy = { signal: 'verifier', medium: [{ from: 0, strategy: 'majority', samples: 5 }] }

const withDefaults = (defaults: object): World => ({
  ...TWO_FLIPS,
  profile: { defaults: { ...TEST_PROFILE.defaults, ...defaults } },
})

/** A search has found another answer than the draft's, which is asked for once more under other defaults. */
async function askAgain(defaults: object, { isConfirmed = true, change = {} as Partial<Neighbour> } = {}) {
  const episodes = createEpisodesInMemory()
  const before = await solverOn(TWO_FLIPS, { episodes }).solve(AUTO)
  expect(before).toMatchObject({ answer: '3', base: { answer: '1' } })
  if (isConfirmed) episodes.confirmed.add(before.episodeId!)
  const changed: EpisodeStore = {
    ...episodes,
    nearest: async (query) => (await episodes.nearest(query)).map((one) => ({ ...one, ...change })),
  }
  const { solve, engine } = solverOn(withDefaults(defaults), { episodes: changed })
  return { before, solution: await solve(AUTO), engine, episodes }
}

describe('a confirmed answer to a near-identical question', () => {
  test.each([
    ['a band that stops', { policy: STOP }],
    ['a band that votes', { policy: VOTE }],
    ['a draft that has passed', { stopReward: -1 }],
  ])('is returned in spite of %s', async (_, defaults) => {
    const { before, solution, episodes } = await askAgain(defaults)
    expect(solution).toMatchObject({ answer: '3', base: { answer: '1' }, evaluations: 1, iterations: 0 })
    expect(episodes.added[1]!.ancestors).toEqual([before.episodeId])
  })

  test('is not looked for where no caller has called it right: the draft is returned without memory', async () => {
    const { solution, engine } = await askAgain({ policy: STOP }, { isConfirmed: false })
    expect(solution).toMatchObject({ answer: '1', evaluations: 0, policy: { strategy: 'greedy' } })
    expect(engine.calls.decode).toBe(0)
  })

  test('leads nowhere where the draft gives it', async () => {
    const episodes = createEpisodesInMemory()
    const right = { ...TWO_FLIPS, firstLogits: { c: 3 } }
    const before = await solverOn(right, { episodes }).solve(AUTO)
    episodes.confirmed.add(before.episodeId!)
    const again = await solverOn(right, { episodes }).solve(AUTO)
    expect(again).toMatchObject({ answer: '3', evaluations: 0 })
  })

  test('leads nowhere where a more similar one confirms the draft', async () => {
    const { before, episodes } = await askAgain({ policy: STOP })
    const { answerRules } = episodes.added[0]!
    const both: EpisodeStore = {
      ...episodes,
      nearest: async (query) => {
        const other = (await episodes.nearest(query)).find(({ episodeId }) => episodeId === before.episodeId)!
        const same = { ...other, episodeId: 'same', similarity: 1, confirmed: { answer: '1', answerRules } }
        return [same, { ...other, similarity: 0.9995 }]
      },
    }
    const sure = solverOn(withDefaults({ policy: STOP }), { episodes: both })
    expect(await sure.solve(AUTO)).toMatchObject({ answer: '1', evaluations: 0 })
    expect(sure.engine.calls.decode).toBe(0)
  })

  test('is not returned where its shift leads elsewhere: the policy decides', async () => {
    const { solution } = await askAgain({ policy: STOP, maxShift: 1e-6 })
    expect(solution).toMatchObject({ answer: '1', evaluations: 0, policy: { strategy: 'greedy' } })
  })

  test.each<[string, Partial<Neighbour>]>([
    ['to a question that is only similar', { similarity: 0.998 }],
    ['under other rules', { confirmed: { answer: '3', answerRules: 'of another release' } }],
  ])('counts for nothing %s', async (_, change) => {
    const { solution, engine } = await askAgain({ policy: STOP }, { change })
    expect(solution).toMatchObject({ answer: '1', policy: { strategy: 'greedy' } })
    expect(engine.calls.decode).toBe(0)
  })
})
