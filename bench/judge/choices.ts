/** @file Choices among the kept samples of questions: what each strategy makes of every question. */

import { bestOfN, likelyVote, majorityVote, ordersOf, playRounds, votesFor } from '#algorithms'
import { type JudgedSample, mean } from '#evaluation'
import { type KeptQuestion, knownOf } from './answers.ts'
import type { Judge } from './nights.ts'

/** What a strategy made of each question. */
export interface Outcomes {
  /** P(right) of each answer, mean over the seeds of decoding. */
  readonly right: readonly number[]
  /** Mean tokens decoded for a question. */
  readonly tokens: number
  /** Standard deviation of the accuracy over the seeds of decoding; null for one. */
  readonly deviation: number | null
}

/** The same questions in the same order, with the samples of each seed of decoding. */
export type SeededQuestions = readonly (readonly KeptQuestion[])[]

export interface Among {
  /** Number of samples. */
  readonly count: number
  /** Whether the draft is a candidate beside them. */
  readonly draft: boolean
}

type Candidates = readonly JudgedSample[]

/** Numbers of samples that are compared, with and without the draft. */
export const AMONGS: readonly Among[] = [false, true].flatMap((draft) =>
  [2, 4, 8].map((count) => ({ draft, count })),
)

export function nameOf({ draft, count }: Among): string {
  return draft ? `draft and ${count}` : String(count)
}

/** Puts the questions of all seeds of decoding in the order of the first. @throws Error when a seed lacks one of them */
export function inOneOrder(seeds: SeededQuestions): SeededQuestions {
  return seeds.map((questions) => {
    const byProblem = new Map(questions.map((question) => [question.problem, question]))
    return seeds[0]!.map(({ problem }) => {
      const question = byProblem.get(problem)
      if (question === undefined)
        throw new Error(`answers: expected samples of ${problem} under every seed of decoding, got none`)
      return question
    })
  })
}

/** Outcomes of the drafts. */
export function greedyOf(questions: readonly KeptQuestion[]): Outcomes {
  return {
    right: questions.map(({ draft }) => Number(draft.right)),
    tokens: mean(questions.map(({ draft }) => draft.tokens)),
    deviation: null,
  }
}

/** Outcomes over the seeds of decoding, from those of each. */
export function overSeeds(each: readonly Omit<Outcomes, 'deviation'>[]): Outcomes {
  const accuracies = each.map(({ right }) => mean(right))
  const squares = accuracies.map((accuracy) => (accuracy - mean(accuracies)) ** 2)
  return {
    right: each[0]!.right.map((_, index) => mean(each.map(({ right }) => right[index]!))),
    tokens: mean(each.map(({ tokens }) => tokens)),
    deviation: each.length < 2 ? null : Math.sqrt((mean(squares) * each.length) / (each.length - 1)),
  }
}

/** Outcomes over other questions behind these. */
export function followedBy(one: Outcomes, other: Outcomes): Outcomes {
  const counts = [one.right.length, other.right.length] as const
  return {
    right: [...one.right, ...other.right],
    tokens: (counts[0] * one.tokens + counts[1] * other.tokens) / (counts[0] + counts[1]),
    deviation: null,
  }
}

/** P(right) of what is returned, and the tokens of all that was decoded. */
interface Returned {
  readonly right: number
  readonly tokens: number
}

/** Outcomes of what is returned for each order of the samples of each question, as policies are measured. */
async function measure(
  seeds: SeededQuestions,
  answer: (draft: JudgedSample, samples: Candidates) => Returned | Promise<Returned>,
): Promise<Outcomes> {
  const outcomesOf = ({ draft, samples }: KeptQuestion) =>
    Promise.all(ordersOf(samples).map((ordered) => answer(draft, ordered)))
  return overSeeds(
    await Promise.all(
      seeds.map(async (questions) => {
        const outcomes = await Promise.all(questions.map(outcomesOf))
        return {
          right: outcomes.map((orders) => mean(orders.map(({ right }) => right))),
          tokens: mean(outcomes.flat().map(({ tokens }) => tokens)),
        }
      }),
    ),
  )
}

const tokensOf = (candidates: Candidates) => candidates.reduce((sum, one) => sum + one.tokens, 0)

/** Outcomes of a choice among samples. @param choose returns P(chosen) of each candidate */
export function choosing(
  seeds: SeededQuestions,
  among: Among,
  choose: (candidates: Candidates) => readonly number[] | Promise<readonly number[]>,
): Promise<Outcomes> {
  return measure(seeds, async (draft, samples) => {
    const candidates = [...(among.draft ? [draft] : []), ...samples.slice(0, among.count)]
    const chances = await choose(candidates)
    const right = candidates.reduce((sum, one, index) => sum + chances[index]! * Number(one.right), 0)
    return { right, tokens: tokensOf(candidates) }
  })
}

/** A vote, with ties by the reward. */
export function votes(seeds: SeededQuestions, among: Among): Promise<Outcomes> {
  return choosing(seeds, among, (candidates) => only(candidates, majorityVote(candidates)))
}

/** A vote whose ties the mean log-probability breaks. */
export function votesByLogProbability(seeds: SeededQuestions, among: Among): Promise<Outcomes> {
  return choosing(seeds, among, (candidates) => only(candidates, likelyVote(candidates)))
}

/** The same among draft and samples that come in rounds until some of them agree: `auto` where nothing was measured. */
export function votesInRounds(
  seeds: SeededQuestions,
  { samples: most, stopVotes }: { readonly samples: number; readonly stopVotes: number },
): Promise<Outcomes> {
  const arm = { strategy: 'majority', samples: most, stopVotes } as const
  return measure(seeds, (draft, samples) => {
    return playRounds(arm, (count) => {
      const candidates = [draft, ...samples.slice(0, count)]
      const { answer, right } = candidates[likelyVote(candidates)]!
      const votes = votesFor(answer, candidates)
      return { right: Number(right), tokens: tokensOf(candidates), confidence: null, votes }
    })
  })
}

/** The candidate of the highest score; one without a score comes last. */
export function bestBy(
  seeds: SeededQuestions,
  among: Among,
  scoreOf: (candidate: JudgedSample) => number | null | undefined,
): Promise<Outcomes> {
  return choosing(seeds, among, (candidates) => {
    const scored = candidates.map((one) => ({ ...one, score: scoreOf(one) ?? Number.NEGATIVE_INFINITY }))
    return only(candidates, bestOfN(scored))
  })
}

export function bestByJudge(seeds: SeededQuestions, among: Among, { score }: Judge): Promise<Outcomes> {
  return choosing(seeds, among, async (candidates) => {
    const scores = await score(candidates.map((one) => knownOf(one, candidates)))
    return only(candidates, bestOfN(candidates.map((one, index) => ({ ...one, score: scores[index]! }))))
  })
}

function only(candidates: Candidates, chosen: number): readonly number[] {
  return candidates.map((_, index) => Number(index === chosen))
}
