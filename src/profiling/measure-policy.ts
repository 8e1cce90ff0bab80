/**
 * @file Chooses the policy of `auto` from drafts and one set of samples of each problem: all arms choose among the draft and the
 * same samples, so they cost one decoding.
 */

import { chooseByEffort, type MeasuredQuestion, type PolicyChoice } from '#algorithms'
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

/** What the policy chooses among, beside the draft and the search. */
const ARMS: Readonly<Record<string, PolicyArm>> = {
  'majority of 2': { strategy: 'majority', samples: 2, selector: 'log-probability' },
  'majority of 4': { strategy: 'majority', samples: 4, selector: 'log-probability' },
  'majority of 8': { strategy: 'majority', samples: BANK_SAMPLES, selector: 'log-probability' },
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

/** About what `auto` does without a policy, by effort; it may end before all of these samples. */
const VOTES = { low: 'majority of 4', medium: 'majority of 8', high: 'majority of 8' }

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
function outcomeOf(
  { samples, tokens }: BankRecord,
  draft: readonly JudgedSample[],
  { strategy, samples: count, selector }: PolicyArm,
) {
  const own = samples.slice(0, count)
  const choose = choosersOfSamples[strategy === 'majority' ? VOTE_BY_LIKELIHOOD : (selector ?? 'verifier')]
  return {
    accuracy: Number(choose?.([...draft, ...own])?.right ?? false),
    tokens: (tokens * own.length) / Math.max(1, samples.length),
  }
}
