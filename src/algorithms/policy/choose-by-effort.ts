/** @file Chooses the bands of every effort, and takes those that gain on questions that they were not chosen on. */

import type { Effort, Policy, PolicyArm, PolicyBand } from '#ports'
import type { Figure } from '../training/training-result.ts'
import {
  type Band,
  choosePolicy,
  crossValidatePolicy,
  follow,
  type MeasuredQuestion,
  type Outcome,
  STOP,
  standardError,
  utilityOn,
  Z,
} from './choose-policy.ts'

/** Gain in accuracy that the tokens of one more draft must bring. */
const PRICES = [
  { effort: 'low', price: 0.02 },
  { effort: 'medium', price: 0.01 },
  { effort: 'high', price: 0.003 },
] as const satisfies readonly { readonly effort: Effort; readonly price: number }[]

/** Number of questions below which no policy is chosen. */
const MIN_QUESTIONS = 30

interface ChoiceOptions extends Pick<Policy, 'signal'> {
  readonly arms: Readonly<Record<string, PolicyArm>>
  readonly vote: Readonly<Record<EffortRow['effort'], string>>
}

interface EffortRow {
  readonly effort: (typeof PRICES)[number]['effort']
  readonly price: number
  readonly bands: readonly Band[]
  /** Accuracy above that of the draft, and tokens, on questions that the bands were not chosen on. */
  readonly gain: Figure
  readonly tokens: number
  /** Utility (`choosePolicy`) above that of the vote without a policy, on the same questions, and its standard error. */
  readonly overVote: { readonly value: number; readonly error: number }
  /**
   * Whether the policy has these bands: what they have above the vote exceeds one standard error, and so does the gain over the
   * drafts, where they do more than return these.
   */
  readonly isTaken: boolean
}

export interface PolicyChoice {
  readonly questions: number
  readonly draftAccuracy: number
  /** Mean tokens of a draft. */
  readonly draftTokens: number
  readonly rows: readonly EffortRow[]
  /** null: for no effort is anything better than the vote. */
  readonly policy: Policy | null
}

/**
 * Chooses bands for each effort.
 *
 * @param options.signal P(correct) that `confidence` of the questions is
 * @param options.arms arms of the questions, by name
 * @param options.vote arm that `auto` takes without a policy, by effort
 * @returns null for too few questions: 30
 */
export function chooseByEffort(
  questions: readonly MeasuredQuestion[],
  { signal, arms, vote }: ChoiceOptions,
): PolicyChoice | null {
  if (questions.length < MIN_QUESTIONS) return null
  const ofDrafts = (measure: (draft: Outcome) => number) =>
    questions.reduce((sum, { draft }) => sum + measure(draft), 0) / questions.length
  const draftTokens = ofDrafts(({ tokens }) => tokens)
  const rows = PRICES.map(({ effort, price }): EffortRow => {
    const bands = choosePolicy(questions, { price })
    const { gain, tokens, outcomes } = crossValidatePolicy(questions, { price })
    const error = ((gain.high ?? 0) - (gain.low ?? 0)) / (2 * Z)
    const overVote = compareWithVote(questions, outcomes, { price, vote: vote[effort] })
    const onlyStops = bands.every(({ arm }) => arm === STOP)
    const isTaken = overVote.value > overVote.error && (onlyStops || gain.value > error)
    return { effort, price, bands, gain, tokens, overVote, isTaken }
  })
  const taken = rows
    .filter(({ isTaken }) => isTaken)
    .map(({ effort, bands }) => [effort, bands.map((band) => policyBand(band, arms))] as const)
  return {
    questions: questions.length,
    draftAccuracy: ofDrafts(({ accuracy }) => accuracy),
    draftTokens,
    rows,
    policy: taken.length === 0 ? null : { signal, ...Object.fromEntries(taken) },
  }
}

function compareWithVote(
  questions: readonly MeasuredQuestion[],
  outcomes: readonly Outcome[],
  { price, vote }: { readonly price: number; readonly vote: string },
): EffortRow['overVote'] {
  const utility = utilityOn(questions, { price })
  // Where samples are missing, vote and arms count as wrong, so that what returns the draft would seem to gain.
  const differences = outcomes.flatMap((outcome, index) => {
    const question = questions[index]!
    return question.isSampled === false ? [] : [utility(outcome) - utility(follow(question, vote))]
  })
  if (differences.length === 0) return { value: 0, error: 0 }
  const value = differences.reduce((sum, one) => sum + one, 0) / differences.length
  return { value, error: standardError(differences) }
}

function policyBand(band: Band, arms: Readonly<Record<string, PolicyArm>>): PolicyBand {
  const { from, arm, questions, draftAccuracy, accuracy, tokens } = band
  const rounded = (value: number) => Number(value.toFixed(3))
  return {
    // Rounded down: a draft of the band stays in it.
    from: Math.floor(from * 10_000) / 10_000,
    ...(arm === STOP ? { strategy: 'greedy' } : arms[arm]!),
    questions,
    draftAccuracy: rounded(draftAccuracy),
    accuracy: rounded(accuracy),
    tokens: Math.round(tokens),
  }
}
