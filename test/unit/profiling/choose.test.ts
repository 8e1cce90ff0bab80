import { describe, expect, test } from 'vitest'
import { createRandom } from '#tensor'
import { chooseEmbedding, type QuestionStates } from '../../../src/profiling/choose-embedding.ts'
import { chooseJudge } from '../../../src/profiling/choose-judge.ts'
import { choosePrompt } from '../../../src/profiling/choose-prompt.ts'
import {
  chooseLatents,
  choosePatience,
  chooseRates,
  multiplesOf,
  type SearchRecord,
  searchRow,
} from '../../../src/profiling/choose-search.ts'
import type { DraftRecord } from '../../../src/profiling/drafts.ts'
import { chooseBest } from '../../../src/profiling/is-better.ts'

function draft(
  right: boolean,
  verdicts: readonly number[] = [0.9],
  more: Partial<DraftRecord> = {},
): DraftRecord {
  return { right, isWhole: true, tokens: 10, format: 0, verdicts, ...more }
}

describe('a setting replaces the own one', () => {
  const trials = (wins: number, losses: number) => [
    [...Array(wins).fill(false), ...Array(losses).fill(true), true],
    [...Array(wins).fill(true), ...Array(losses).fill(false), true],
  ]

  test('when it wins by more than one standard error of the paired difference', () => {
    expect(chooseBest(trials(3, 0), 0)).toBe(1)
    expect(chooseBest(trials(1, 0), 0)).toBe(0)
    expect(chooseBest(trials(6, 3), 0)).toBe(0)
    expect(chooseBest(trials(7, 3), 0)).toBe(1)
  })

  test('and never when there are no trials', () => {
    expect(chooseBest([[], []], 1)).toBe(1)
  })
})

describe('the prompt', () => {
  test('is compared on the problems that all prompts answered', () => {
    const right = draft(true)
    const wrong = draft(false, [0.9], { isWhole: false, tokens: 30 })
    const { rows, chosen } = choosePrompt(
      ['own', 'other'],
      [
        [wrong, wrong, wrong, right],
        [right, right, right, null],
      ],
    )
    expect(rows).toMatchObject([
      { name: 'own', n: 3, right: 0, whole: 0, tokens: 30 },
      { name: 'other', n: 3, right: 3, whole: 1, tokens: 10 },
    ])
    expect(chosen).toBe(1)
  })

  test('gives way to one with no fewer right drafts at two thirds of the tokens, once there are 30', () => {
    const drafts = (tokens: number, right: number, count = 30) =>
      Array.from({ length: count }, (_, index) => draft(index < right, [0.9], { tokens }))
    const chosen = (...others: DraftRecord[][]) =>
      choosePrompt(['own', ...others.keys().map(String)], [drafts(90, 15), ...others]).chosen
    expect(chosen(drafts(60, 15), drafts(40, 15), drafts(10, 14))).toBe(2)
    expect(chosen(drafts(61, 15))).toBe(0)
    const few = (tokens: number) => drafts(tokens, 10, 29)
    expect(choosePrompt(['own', 'other'], [few(90), few(30)]).chosen).toBe(0)
  })

  test('stays the own one without drafts', () => {
    expect(choosePrompt(['own', 'other'], [[null], [null]])).toMatchObject({
      chosen: 0,
      rows: [{ n: 0 }, { n: 0 }],
    })
  })
})

describe('the judge', () => {
  /** The second judge knows; the first says .9 to all. P(correct) p gives a reward of (p - 1) / 3. */
  const drafts = Array.from({ length: 60 }, (_, index) => {
    const right = index % 3 !== 0
    return draft(right, [0.9, right ? 0.8 + (index % 10) / 100 : 0.3 + (index % 10) / 100])
  })

  test('is the one that orders right and wrong drafts best, and stops where the precision is enough', () => {
    const { rows, chosen, stop, crossed } = chooseJudge(['flat', 'knowing'], drafts, {}, 0.9)
    expect(rows.map(({ auc }) => auc.value)).toEqual([0.5, 1])
    expect(chosen).toBe(1)
    expect(stop).toMatchObject({ passed: 40, right: 40, precision: 1 })
    // Between the greatest P of a wrong draft and the least of a right one.
    expect(stop!.stopReward).toBeGreaterThan((0.39 - 1) / 3)
    expect(stop!.stopReward).toBeLessThan((0.8 - 1) / 3)
    expect(crossed).toMatchObject({ passed: 40, precision: 1 })
  })

  test('stops by the whole verifier of a profile that keeps several criteria', () => {
    // P(correct) alone would put the rewards of right drafts above -.07.
    const several = drafts.map((one) => ({
      ...one,
      verdicts: [one.verdicts[1]!],
      verifier: one.right ? -0.6 : -0.9,
    }))
    const { stop } = chooseJudge(['own'], several, {}, 0.9)
    expect(stop).toMatchObject({ passed: 40, precision: 1 })
    expect(stop!.stopReward).toBeLessThan(-0.6 / 3)
    expect(stop!.stopReward).toBeGreaterThan(-0.9 / 3 - 1e-3)
  })

  test('stays the own one while the drafts are few, and mostly where others differ by chance', () => {
    expect(chooseJudge(['flat', 'knowing'], drafts.slice(0, 29), {}, 0.9).chosen).toBe(0)
    const replaced = Array.from({ length: 40 }, (_, seed) => {
      const random = createRandom(seed)
      const noise = drafts.map(({ right }) => draft(right, [random.uniform(), random.uniform()]))
      return chooseJudge(['own', 'other'], noise, {}, 0.9).chosen
    })
    expect(replaced.filter((chosen) => chosen === 1).length).toBeLessThanOrEqual(14)
  })

  test('that says the same to all stops nothing', () => {
    const { stop, thresholds } = chooseJudge(['flat'], drafts, {}, 0.9)
    expect(stop).toBeNull()
    expect(thresholds).toMatchObject([{ passed: 60, right: 40 }])
  })

  test('needs ten passed drafts: fewer show no precision', () => {
    expect(
      chooseJudge(
        ['knowing'],
        drafts.slice(0, 12).map(({ verdicts, ...rest }) => ({ ...rest, verdicts: verdicts.slice(1) })),
        {},
        0.9,
      ).stop,
    ).toBeNull()
  })

  test('counts drafts below P(correct) .5, and without form, as not passed, under the weights of the profile', () => {
    const unsure = [...drafts, ...Array.from({ length: 20 }, () => draft(true, [0.9, 0.45]))]
    const formless = [
      ...unsure,
      ...Array.from({ length: 20 }, () => draft(false, [0.9, 0.95], { format: -1 })),
    ]
    const knowing = formless.map(({ verdicts, ...rest }) => ({ ...rest, verdicts: verdicts.slice(1) }))
    const { stop } = chooseJudge(['knowing'], knowing, {}, 0.9)
    expect(stop!.stopReward).toBeGreaterThan(-0.5)
    expect(stop!.passed).toBe(40)
    expect(chooseJudge(['knowing'], knowing, { format: 0 }, 0.9).stop).toBeNull()
  })
})

describe('the embedding', () => {
  const random = createRandom(3)
  const vector = (scale: number) => Float32Array.from({ length: 16 }, () => scale * random.gaussian())
  const common = vector(20)
  const centres = [vector(3), vector(3), vector(3)]
  /** Candidate 1 has the family in it, 0 and 2 are noise; all share a large direction. */
  const questions: QuestionStates[] = Array.from({ length: 60 }, (_, index) => {
    const noise = vector(0.5)
    const centre = centres[index % 3]!
    return {
      family: String(index % 3),
      states: [vector(1), noise.map((value, i) => value + centre[i]!), vector(1)].map((state) =>
        state.map((value, i) => value + common[i]!),
      ),
    }
  })

  test('is that of the layer whose states tell families apart, once centred', () => {
    const choice = chooseEmbedding(questions)!
    expect(choice.chosen).toMatchObject({ layer: 0 })
    expect(choice.chosen.auc).toBeGreaterThan(0.99)
    expect(choice.chosen.recall).toBe(1)
    expect(choice.rows[0]).toMatchObject({ layer: null })
    expect(choice.rows[0]!.auc).toBeLessThan(0.7)
    for (const [i, value] of choice.mean.entries()) expect(Math.abs(value - common[i]!)).toBeLessThan(8)
  })

  test('abstains from all but one in a hundred unrelated pairs', () => {
    const { floor, related, pairs } = chooseEmbedding(questions)!
    expect(pairs).toEqual({ related: 3 * 190, unrelated: 3 * 400 })
    expect(floor).toBeLessThan(0.9)
    expect(related).toBeGreaterThan(0.95)
  })

  test('is not chosen from few questions, or from one family', () => {
    expect(chooseEmbedding(questions.slice(0, 19))).toBeNull()
    expect(chooseEmbedding(questions.map((question) => ({ ...question, family: 'all' })))).toBeNull()
  })
})

describe('the search', () => {
  test('is tried with the own value as it is, and with rounded multiples of it', () => {
    expect(multiplesOf(0.012345, [1 / 2, 1, 3])).toEqual([0.00617, 0.012345, 0.037])
  })

  const search = (rewards: readonly number[], more: Partial<SearchRecord> = {}): SearchRecord => ({
    rewards,
    isDraftRight: false,
    isRight: false,
    changed: rewards.length > 1,
    draftTokens: 10,
    tokens: 30,
    ...more,
  })
  const times = (count: number, record: SearchRecord) => Array.from({ length: count }, () => record)

  test('has a row of figures for its rates', () => {
    const searches = [
      search([-0.5, -0.4], { isRight: true }),
      search([-0.5, -0.6], { isDraftRight: true }),
      search([-1]),
    ]
    expect(searchRow({ lr: 0.1, rho: 0.2 }, searches)).toEqual({
      lr: 0.1,
      rho: 0.2,
      n: 3,
      changed: 2 / 3,
      better: 1 / 3,
      mended: 1,
      spoilt: 1,
      cost: 3,
    })
  })

  test('takes rates that find better rewards more often, unless they spoil drafts', () => {
    const own = times(10, search([-0.5, -0.6]))
    const better = times(10, search([-0.5, -0.1], { isRight: true }))
    const harmful = times(10, search([-0.5, -0.1], { isDraftRight: true }))
    const choose = (...all: SearchRecord[][]) =>
      chooseRates(
        all.map((each) => searchRow({ lr: 1, rho: 1 }, each)),
        all,
        0,
      )
    expect(choose(own, better)).toBe(1)
    expect(choose(own, harmful)).toBe(0)
    expect(choose(own.slice(3), better.slice(3))).toBeNull()
    expect(choose()).toBeNull()
  })

  test('is as patient as nine tenths of the rises need', () => {
    const soon = times(18, search([-0.5, -0.4]))
    const late = times(2, search([-0.5, -0.6, -0.6, -0.3]))
    expect(choosePatience([...soon, ...late])).toMatchObject({ rises: 20, patience: 1 })
    const { rows, patience } = choosePatience([...soon.slice(9), ...late])
    expect(rows.map(({ kept }) => kept)).toEqual([9 / 11, 9 / 11, 1])
    expect(patience).toBe(3)
    expect(choosePatience(late)).toMatchObject({ rises: 2, patience: null })
  })

  test('moves as many latents as rho does in the median draft', () => {
    expect(chooseLatents(0.1, [100, 250, 9000])).toBe(25)
    expect(chooseLatents(0.1, [])).toBe(1)
  })
})
