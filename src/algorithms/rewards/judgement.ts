/**
 * @file What a reward says about an answer, and the two questions asked of it: stop here? remember it?
 *
 * Papers: LatentSeek (arXiv 2505.13308) stops above -0.2; LatentEvolve (arXiv 2509.24771) admits from 0.5 on [0, 1], so -0.5 here.
 */

import type { LatentThought, SequenceId } from '#ports'

/** An answer as a judge needs it. */
export interface Answer {
  /** All its tokens, EOS included when it ended. */
  readonly tokens: readonly number[]
  readonly text: string
  /** Extracted and normalised; null when there is none. */
  readonly answer: string | null
  readonly finish: 'eos' | 'length' | 'aborted'
  /** What the engine keeps keys and values of. Prompt, `sequence` and `tail` together are prompt + answer. */
  readonly sequence: SequenceId
  /** Answer tokens that `sequence` lacks; `[]` when it holds them all. */
  readonly tail: readonly number[]
  /** How it was thought; null when nobody asked, or its numbers are none. */
  readonly thought: LatentThought | null
}

export interface Judgement {
  /** In [-1, 0]. */
  readonly reward: number
  /** Term by term, parts as `term.part`; each in [-1, 0]. */
  readonly terms: Readonly<Record<string, number>>
  /** P(correct) in [0, 1]; null when no term estimates it. */
  readonly correctness: number | null
}

/** An answer and what was said about it. */
export interface Evaluation {
  readonly answer: Answer
  readonly judgement: Judgement
}

export interface Judge {
  /** Judges all answers in one batch, in order. @throws ServiceError ABORTED, INTERNAL when a term leaves [-1, 0] */
  judge(answers: readonly Answer[]): Promise<readonly Judgement[]>
}

const MIN_CORRECTNESS = 0.5

/**
 * True when the search may stop at this answer: reward > `stopReward`, and P(correct) >= .5 where a term estimates it.
 *
 * Deviates: the floor is ours. With the published weights an answer that fails only correctness scores -1/6, above -0.2.
 */
export function hasPassed(judgement: Judgement, stopReward: number): boolean {
  return judgement.reward > stopReward && (judgement.correctness ?? 1) >= MIN_CORRECTNESS
}

/**
 * True when an episode may steer and train others: reward >= `admitReward` and P(correct) >= .5.
 *
 * Deviates: the floor is ours, and an answer whose correctness nobody estimated is not admitted: form alone teaches nothing.
 */
export function isAdmitted(judgement: Judgement, admitReward: number): boolean {
  return judgement.reward >= admitReward && (judgement.correctness ?? 0) >= MIN_CORRECTNESS
}
