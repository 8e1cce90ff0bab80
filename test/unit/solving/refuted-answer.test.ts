/** @file An answer that callers called wrong when the same question came before: it is chosen only where no other is found. */

import { describe, expect, test } from 'vitest'
import type { EpisodeStore } from '#episodes'
import type { Policy } from '#ports'
import type { SolveRequest } from '#solving'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { TEST_PROFILE, type World } from '../../support/linear-model.ts'
import { GOOD_DRAFT, REQUEST, route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const AUTO = { strategy: 'auto' } as const
/** Drafts of a P(correct) of .9 are returned, others are voted on. */
const SURE: Policy = {
  signal: 'verifier',
  medium: [
    { from: 0, strategy: 'majority', samples: 8 },
    { from: 0.9, strategy: 'greedy' },
  ],
}
const STOP: Policy = { signal: 'verifier', medium: [{ from: 0, strategy: 'greedy' }] }

/** The draft says '1' and is believed; '3' is nearly as likely, and believed as well. */
const SURE_DRAFT: World = {
  routes: { a: route('1', 0.97), b: route('3', 0.92), c: route('1', 0.9) },
  firstLogits: { a: 3, b: 2.6, c: 2.5 },
}

const under = (world: World, policy: Policy): World => ({
  ...world,
  profile: { defaults: { ...TEST_PROFILE.defaults, policy } },
})

/** An episode of the question that answered '1' and was called wrong. */
async function refuteOne(over: Partial<SolveRequest> = {}) {
  const episodes = createEpisodesInMemory()
  const { episodeId, answer } = await solverOn(GOOD_DRAFT, { episodes }).solve({
    strategy: 'greedy',
    ...over,
  })
  expect(answer).toBe('1')
  episodes.refuted.add(episodeId!)
  return { episodes, episodeId: episodeId! }
}

describe('a refuted answer', () => {
  test('ends no rounds, however sure it is', async () => {
    const rounds: Policy = {
      signal: 'verifier',
      medium: [{ from: 0, strategy: 'best-of-n', selector: 'verifier', samples: 8, stopAbove: 0.9 }],
    }
    const world = under(GOOD_DRAFT, rounds)
    expect(await solverOn(world).solve(AUTO)).toMatchObject({ answer: '1', evaluations: 2 })
    const { episodes, episodeId } = await refuteOne()
    const solution = await solverOn(world, { episodes }).solve(AUTO)
    expect(solution).toMatchObject({ answer: '1', evaluations: 8, refutedBy: episodeId })
  })

  test.each<Partial<SolveRequest>>([
    { strategy: 'auto' },
    { strategy: 'latentseek' },
    { strategy: 'fork' },
    { strategy: 'majority' },
    { strategy: 'best-of-n', selector: 'verifier' },
    { strategy: 'best-of-n', selector: 'log-probability' },
    { strategy: 'lto' },
  ])('is not returned where another is found: %j', async (request) => {
    const { episodes } = await refuteOne()
    const without = await solverOn(SURE_DRAFT).solve(request)
    expect(without.answer).toBe('1')

    const { solve } = solverOn(SURE_DRAFT, { episodes })
    const solution = await solve(request)
    expect(solution.answer).toBe('3')
    expect(solution).not.toHaveProperty('refutedBy')
  })

  test.each<Partial<SolveRequest>>([
    { strategy: 'auto' },
    { strategy: 'latentseek' },
    { strategy: 'fork' },
    { strategy: 'majority' },
    { strategy: 'best-of-n' },
    { strategy: 'lto' },
  ])('is returned with its episode where no other is found, and leads nothing: %j', async (request) => {
    const { episodes, episodeId } = await refuteOne()
    const solution = await solverOn(GOOD_DRAFT, { episodes }).solve(request)
    expect(solution).toMatchObject({ answer: '1', refutedBy: episodeId })
    expect(episodes.added[1]).toMatchObject({ answer: '1', admitted: false, latents: null })
    expect(episodes.added[1]!.candidates.some(({ meetsAdmission }) => meetsAdmission)).toBe(false)
  })

  test('comes before a text without an answer', async () => {
    const { episodes, episodeId } = await refuteOne()
    const mute = { rest: ': 6 + 4', verdicts: { check: 0.99 } }
    const world = { routes: { a: route('1', 0.5), b: mute, c: mute }, firstLogits: { a: 3, b: 2.9, c: 2.8 } }
    for (const strategy of ['latentseek', 'majority', 'fork'] as const) {
      const solution = await solverOn(world, { episodes }).solve({ strategy, reward: { format: 0 } })
      expect(solution).toMatchObject({ answer: '1', refutedBy: episodeId })
    }
  })

  test.each<[string, Policy]>([
    ['of a band that stops, is voted on', SURE],
    ['under a policy that only stops, is searched from', STOP],
  ])('that is the draft %s', async (_, policy) => {
    const plain = await solverOn(under(SURE_DRAFT, policy)).solve(AUTO)
    expect(plain).toMatchObject({ answer: '1', policy: { strategy: 'greedy' } })

    const { episodes } = await refuteOne()
    const solution = await solverOn(under(SURE_DRAFT, policy), { episodes }).solve(AUTO)
    expect(solution).toMatchObject({ answer: '3', base: { answer: '1' }, improved: true })
    expect(solution.policy?.strategy).toBe(policy === SURE ? 'majority' : undefined)
  })

  test('that a sample gives is not taken for a draft with another answer', async () => {
    const { episodes } = await refuteOne()
    const world = under(
      { routes: { a: route('2', 0.4), b: route('1', 0.9) }, firstLogits: { a: 3, b: 2.9 } },
      { signal: 'verifier', medium: [{ from: 0, strategy: 'majority', samples: 1 }] },
    )
    const answersOf = async (solve: ReturnType<typeof solverOn>['solve']) => {
      const solutions = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => solve({ ...AUTO, seed })))
      return new Set(solutions.map(({ answer }) => answer))
    }
    expect(await answersOf(solverOn(world).solve)).toEqual(new Set(['1', '2']))
    expect(await answersOf(solverOn(world, { episodes }).solve)).toEqual(new Set(['2']))
  })

  test('leads nowhere, though it was confirmed before', async () => {
    const episodes = createEpisodesInMemory()
    const before = await solverOn(TWO_FLIPS, { episodes }).solve(AUTO)
    expect(before.answer).toBe('3')
    episodes.confirmed.add(before.episodeId!)
    const stop = under(TWO_FLIPS, STOP)
    expect(await solverOn(stop, { episodes }).solve(AUTO)).toMatchObject({ answer: '3' })
    const refuting: EpisodeStore = {
      ...episodes,
      recollect: async (query) => ({
        ...(await episodes.recollect(query)),
        refuted: [{ answer: '3', episodeId: 'newer' }],
      }),
    }
    const { solve, engine } = solverOn(stop, { episodes: refuting })
    expect(await solve(AUTO)).toMatchObject({ answer: '1', evaluations: 0 })
    expect(engine.calls.decode).toBe(0)
  })
})

describe('answers that were called wrong are not looked for', () => {
  test.each<[string, Partial<SolveRequest>]>([
    ['without retrieval', { strategy: 'majority', retrieval: false }],
    ['with no neighbours to retrieve', { strategy: 'auto', retrieval: { topK: 0 } }],
    ['by greedy, which has no choice', { strategy: 'greedy' }],
  ])('%s', async (_, request) => {
    const { episodes } = await refuteOne()
    const solution = await solverOn(SURE_DRAFT, { episodes }).solve(request)
    expect(solution).toMatchObject({ answer: '1' })
    expect(solution).not.toHaveProperty('refutedBy')
    expect(episodes.queries).toEqual([])
  })

  test('of another tenant', async () => {
    const { episodes } = await refuteOne({ tenantId: 'other' })
    const solution = await solverOn(SURE_DRAFT, { episodes }).solve({ strategy: 'majority' })
    expect(solution.answer).toBe('1')
  })
})

test.each(['auto', 'majority'] as const)('%s asks the store once', async (strategy) => {
  const { episodes } = await refuteOne()
  await solverOn(SURE_DRAFT, { episodes }).solve({ strategy })
  expect(episodes.queries).toMatchObject([
    { question: REQUEST.question, answerRules: 'linear-answers', topK: strategy === 'auto' ? 3 : 0 },
  ])
})

test('a store that does not answer leaves the choice as it is, and the answer says so', async () => {
  const episodes = createEpisodesInMemory({ failing: ['recollect'] })
  const solution = await solverOn(SURE_DRAFT, { episodes }).solve({ strategy: 'majority' })
  expect(solution).toMatchObject({ answer: '1', degraded: ['retrieval'] })
})
