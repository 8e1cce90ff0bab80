/**
 * @file Chooses the policy of `auto` from drafts and one set of samples of each problem: all arms choose among the same
 * samples, so they cost one decoding.
 */

import {
  type Band,
  choosePolicy,
  crossValidatePolicy,
  type Figure,
  type MeasuredQuestion,
  STOP,
} from '#algorithms'
import type { Policy, PolicyBand } from '#engine'
import { choosersOfSamples, type JudgedSample } from '#evaluation'
import type { DraftRecord } from './drafts.ts'
import { WIDTH_OF_INTERVAL } from './is-better.ts'

/** Samples of one problem, graded, and what they cost. */
export interface BankRecord {
  readonly samples: readonly JudgedSample[]
  /** Tokens of all samples, decoded and judged. */
  readonly tokens: number
}

interface EffortRow {
  readonly effort: (typeof EFFORTS)[number]['effort']
  /** Upper bound on the mean tokens of a question, draft included. */
  readonly budget: number
  readonly bands: readonly Band[]
  /** Accuracy above that of the draft, and tokens, on problems that the bands were not chosen on. */
  readonly gain: Figure
  readonly tokens: number
  /** Whether the profile has these bands: the gain exceeds one standard error. */
  readonly isTaken: boolean
}

export interface PolicyChoice {
  readonly questions: number
  readonly draftAccuracy: number
  /** Mean tokens of a draft, judged. */
  readonly draftTokens: number
  readonly rows: readonly EffortRow[]
  /** null: no effort gains. */
  readonly policy: Policy | null
}

/** Number of samples of a bank. */
export const BANK_SAMPLES = 8

/** What the policy chooses among, beside the draft and the search. */
const ARMS: Readonly<Record<string, Omit<PolicyBand, 'from'>>> = {
  'majority of 4': { strategy: 'majority', samples: 4 },
  'majority of 8': { strategy: 'majority', samples: BANK_SAMPLES },
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

/** Budgets as multiples of the tokens of a draft. */
const EFFORTS = [
  { effort: 'low', factor: 3 },
  { effort: 'medium', factor: 6 },
  { effort: 'high', factor: 12 },
] as const

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
  if (measured.length < MIN_PROBLEMS) return null
  const questions = measured.map(
    ({ draft, bank }): MeasuredQuestion => ({
      confidence: draft.verdicts[judge] ?? 0,
      draft: { accuracy: Number(draft.right), tokens: draft.tokens + judgedTokens },
      arms: Object.fromEntries(Object.entries(ARMS).map(([name, arm]) => [name, outcomeOf(bank, arm)])),
    }),
  )
  const meanOf = (measure: (question: MeasuredQuestion) => number) =>
    questions.reduce((sum, question) => sum + measure(question), 0) / questions.length
  const draftTokens = meanOf(({ draft }) => draft.tokens)
  const rows = EFFORTS.map(({ effort, factor }): EffortRow => {
    const options = { tokens: factor * draftTokens }
    const bands = choosePolicy(questions, options)
    const { gain, tokens } = crossValidatePolicy(questions, options)
    const error = ((gain.high ?? 0) - (gain.low ?? 0)) / WIDTH_OF_INTERVAL
    const isTaken = bands.some(({ arm }) => arm !== STOP) && gain.value > error
    return { effort, budget: options.tokens, bands, gain, tokens, isTaken }
  })
  const taken = rows.filter(({ isTaken }) => isTaken)
  return {
    questions: questions.length,
    draftAccuracy: meanOf(({ draft }) => draft.accuracy),
    draftTokens,
    rows,
    policy:
      taken.length === 0
        ? null
        : {
            signal: 'verifier',
            ...Object.fromEntries(taken.map(({ effort, bands }) => [effort, bands.map(profileBand)])),
          },
  }
}

const MIN_PROBLEMS = 30

function outcomeOf(
  { samples, tokens }: BankRecord,
  { strategy, samples: count, selector }: Omit<PolicyBand, 'from'>,
) {
  const own = samples.slice(0, count)
  const choose = choosersOfSamples[strategy === 'majority' ? 'majority' : (selector ?? 'verifier')]
  return {
    accuracy: Number(choose?.(own)?.right ?? false),
    tokens: (tokens * own.length) / Math.max(1, samples.length),
  }
}

function profileBand({ from, arm, questions, draftAccuracy, accuracy, tokens }: Band): PolicyBand {
  const rounded = (value: number) => Number(value.toFixed(3))
  return {
    // Rounded down: a draft of the band stays in it.
    from: Math.floor(from * 10_000) / 10_000,
    ...(arm === STOP ? { strategy: 'greedy' } : ARMS[arm]!),
    questions,
    draftAccuracy: rounded(draftAccuracy),
    accuracy: rounded(accuracy),
    tokens: Math.round(tokens),
  }
}
