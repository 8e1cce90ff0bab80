/**
 * @file Judgements of answers, and the two decisions taken from them: whether the search may stop, and
 * whether the episode is admitted.
 *
 * Papers: LatentSeek (arXiv 2505.13308) stops above -0.2; LatentEvolve (arXiv 2509.24771) admits from 0.5 on
 * [0, 1], which is -0.5 here.
 */

import type { LatentThought, SequenceId, TokenSignals } from '#ports'

/** Answer, with everything that a judge needs. */
export interface Answer {
  /** All tokens of the answer, EOS included when it ended. */
  readonly tokens: readonly number[]
  readonly text: string
  /** Final answer, extracted from the text and normalised; null when there is none. */
  readonly answer: string | null
  readonly finish: 'eos' | 'length' | 'aborted'
  /**
   * Sequence whose keys and values the engine keeps: the prompt and the answer, except the tokens in `tail`.
   */
  readonly sequence: SequenceId
  /** Last answer tokens, which `sequence` does not hold; `[]` when it holds them all. */
  readonly tail: readonly number[]
  /** Latent thought: mean hidden state per layer, `[L + 1, D]`; null if not requested or not finite. */
  readonly thought: LatentThought | null
  /** Signals of `tokens`; null when they are not known. */
  readonly signals: TokenSignals | null
}

export interface Judgement {
  /** Weighted mean of the terms, in [-1, 0]. */
  readonly reward: number
  /** Value of each term, and of each part under `term.part`; all in [-1, 0]. */
  readonly terms: Readonly<Record<string, number>>
  /** P(correct) in [0, 1]; null when no term estimates it. */
  readonly correctness: number | null
  /** P(correct) by the fused judge, in (0, 1); absent while none is active. */
  readonly fused?: number
  /** P(correct) by the latent reward model, in [0, 1]; absent or null where it was not asked. */
  readonly lrm?: number | null
  /**
   * Reward and P(correct) under the weights of the model profile, for admission and for the stored reward;
   * absent when they are the ones above.
   */
  readonly admission?: Pick<Judgement, 'reward' | 'correctness'>
  /** Absent for an answer that may be chosen by its worth. */
  readonly standing?: Standing
}

/**
 * Why an answer is chosen only where no other can be: `refuted`, callers called it wrong when the same question came before;
 * `unanswered`, a text without an answer where a refuted answer is known. From the lowest to the highest.
 */
const STANDINGS = ['unanswered', 'refuted', undefined] as const
export type Standing = NonNullable<(typeof STANDINGS)[number]>

/** Answer and its judgement. */
export interface Evaluation {
  readonly answer: Answer
  readonly judgement: Judgement
}

export interface Judge {
  /**
   * Judges all answers in one batch, in order.
   *
   * @throws ServiceError ABORTED; INTERNAL when a term is outside [-1, 0]
   */
  judge(answers: readonly Answer[]): Promise<readonly Judgement[]>
}

const MIN_CORRECTNESS = 0.5
/** Upper bound on the P(correct) by a fused judge from which on a search stops; the lower bound is `MIN_CORRECTNESS`. */
const MAX_STOP_CONFIDENCE = 0.95

/**
 * Returns the number that answers of one request are compared by, in [-1, 0]: P(correct) - 1 by the fused judge, else the
 * reward. A refuted answer has the lowest.
 */
export function worthOf({ fused, reward, standing }: Judgement): number {
  if (standing === 'refuted') return -1
  return fused === undefined ? reward : fused - 1
}

/** Returns a positive number when the first judgement has the higher standing, a negative one for the second, else 0. */
export function compareStandings(one: Judgement, other: Judgement): number {
  return STANDINGS.indexOf(one.standing) - STANDINGS.indexOf(other.standing)
}

/** Whether the first of two answers of one request is to be chosen: by standing, then by worth. */
export function isBetter(one: Judgement, other: Judgement): boolean {
  return (compareStandings(one, other) || worthOf(one) - worthOf(other)) > 0
}

/** Returns the evaluations of the highest standing, in order: those that a strategy may choose among. */
export function ofHighestStanding(evaluations: readonly Evaluation[]): readonly Evaluation[] {
  return evaluations.filter(({ judgement }) =>
    evaluations.every((other) => compareStandings(judgement, other.judgement) >= 0),
  )
}

/**
 * Returns true when the search may stop at this answer: reward > `stopReward`, and P(correct) >= .5 where a
 * term estimates it; never at a refuted one. With a fused judge, its P(correct) - 1 takes the place of the reward,
 * whose weights are set by hand: a `stopReward` of -.2 then stops at .8, one below -.5 at .5, and one of 0, which no reward passes, at .95: a
 * calibrated probability says what it says.
 *
 * Deviates: the floor is ours. With the published weights an answer that fails only correctness scores -1/6,
 * above -0.2.
 */
export function hasPassed(judgement: Judgement, stopReward: number): boolean {
  if (judgement.standing !== undefined) return false
  if (judgement.fused !== undefined) {
    return judgement.fused > Math.min(Math.max(1 + stopReward, MIN_CORRECTNESS), MAX_STOP_CONFIDENCE)
  }
  return judgement.reward > stopReward && (judgement.correctness ?? 1) >= MIN_CORRECTNESS
}

/** Returns reward and P(correct) under the weights of the model profile, whatever weights a request searched by. */
export function underProfile(judgement: Judgement): Pick<Judgement, 'reward' | 'correctness'> {
  return judgement.admission ?? judgement
}

/**
 * Returns true when the episode may be retrieved and trained on: not refuted, reward >= `admitReward`, and
 * P(correct) >= .5, both under the weights of the model profile, for which `admitReward` was calibrated.
 *
 * Deviates: the floor is ours, and an answer without an estimate of P(correct) is not admitted: format alone
 * is no evidence.
 */
export function isAdmitted(judgement: Judgement, admitReward: number): boolean {
  const { reward, correctness } = underProfile(judgement)
  return judgement.standing === undefined && reward >= admitReward && (correctness ?? 0) >= MIN_CORRECTNESS
}
