/**
 * @file Chooses the policy of `auto` from drafts and one set of samples of each problem: all arms choose among the draft and the
 * same samples, so they cost one decoding.
 */

import {
  chooseByEffort,
  type MeasuredQuestion,
  type PolicyChoice,
  playRounds,
  VOTES_OF_AUTO,
  votesFor,
} from '#algorithms'
import { choosersOfSamples, type JudgedSample, VOTE_BY_LIKELIHOOD } from '#evaluation'
import type { PolicyArm } from '#ports'
import type { DraftRecord } from './drafts.ts'

/** Samples of one problem, graded, and what they cost. */
export interface BankRecord {
  readonly samples: readonly JudgedSample[]
  /** Tokens of all samples, decoded and judged. */
  readonly tokens: number
}

/** Number of samples of a bank. */
export const BANK_SAMPLES = 8

const VOTE = { strategy: 'majority', selector: 'log-probability' } as const

/** What the policy chooses among, beside the draft and the search. */
const ARMS: Readonly<Record<string, PolicyArm>> = {
  'up to 4, until 3 agree': { ...VOTE, samples: 4, stopVotes: VOTES_OF_AUTO },
  'up to 8, until 3 agree': { ...VOTE, samples: BANK_SAMPLES, stopVotes: VOTES_OF_AUTO },
  'majority of 2': { ...VOTE, samples: 2 },
  'majority of 4': { ...VOTE, samples: 4 },
  'majority of 8': { ...VOTE, samples: BANK_SAMPLES },
  'best of 4 by verifier': { strategy: 'best-of-n', samples: 4, selector: 'verifier' },
  'best of 8 by verifier': { strategy: 'best-of-n', samples: BANK_SAMPLES, selector: 'verifier' },
  'best of 8 by log-probability': {
    strategy: 'best-of-n',
    samples: BANK_SAMPLES,
    selector: 'log-probability',
  },
  'best of 8 by self-certainty': {
    strategy: 'best-of-n',
    samples: BANK_SAMPLES,
    selector: 'self-certainty',
  },
}

/** What `auto` does without a policy, by effort, where ties are broken by log-probability. */
const VOTES = {
  low: 'up to 4, until 3 agree',
  medium: 'up to 8, until 3 agree',
  high: 'up to 8, until 3 agree',
}

export interface PolicyMeasurement {
  readonly draft: DraftRecord
  readonly bank: BankRecord
}

/**
 * Chooses bands for each effort.
 *
 * @param judge index of the chosen judge among the verdicts of the drafts
 * @param judgedTokens tokens that judging one answer takes
 * @returns null for too few problems: 30
 */
export function measurePolicy(
  measured: readonly PolicyMeasurement[],
  judge: number,
  judgedTokens: number,
): PolicyChoice | null {
  const questions = measured.map(
    ({ draft, bank }): MeasuredQuestion => ({
      confidence: draft.verdicts[judge] ?? 0,
      draft: { accuracy: Number(draft.right), tokens: draft.tokens + judgedTokens },
      arms: Object.fromEntries(
        Object.entries(ARMS).map(([name, arm]) => [name, outcomeOf(bank, candidateOf(draft, judge), arm)]),
      ),
    }),
  )
  return chooseByEffort(questions, { signal: 'verifier', arms: ARMS, vote: VOTES })
}

/** The draft with the verdict of the chosen judge. */
function candidateOf({ candidate, verdicts }: DraftRecord, judge: number): readonly JudgedSample[] {
  if (candidate === undefined) return []
  return [{ ...candidate, rewardTerms: { ...candidate.rewardTerms, verifier: (verdicts[judge] ?? 0) - 1 } }]
}

/** Returns the outcome of an arm without the tokens of the draft, which is a candidate beside the samples. */
function outcomeOf({ samples, tokens }: BankRecord, draft: readonly JudgedSample[], arm: PolicyArm) {
  const choose =
    choosersOfSamples[arm.strategy === 'majority' ? VOTE_BY_LIKELIHOOD : (arm.selector ?? 'verifier')]
  const { chosen, sampled } = playRounds(arm, (count) => {
    const candidates = [...draft, ...samples.slice(0, count)]
    const chosen = choose?.(candidates) ?? null
    const votes = votesFor(chosen?.answer ?? null, candidates)
    return { chosen, confidence: null, votes, sampled: candidates.length - draft.length }
  })
  return {
    accuracy: Number(chosen?.right ?? false),
    tokens: (tokens * sampled) / Math.max(1, samples.length),
  }
}
