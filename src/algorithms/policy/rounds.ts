/**
 * @file Sampling in rounds under a policy: first two samples, then as many again, until the answer is sure, or hopeless.
 *
 * Adaptive-Consistency (Aggarwal et al., arXiv 2305.11860) stops when the samples agree. Deviates: a number of votes for the chosen
 * answer stops them, or the policy's P(correct) of it, which also stops them where none of the answers is likely.
 */

import type { PolicyArm } from '#ports'

const FIRST_ROUND = 2

/** Votes for one answer, that of the draft included, that end the sampling of `auto` where it has no policy. */
export const VOTES_OF_AUTO = 3

/** Whether an arm samples in rounds. */
export function hasRounds({ stopAbove, stopBelow, stopVotes }: PolicyArm): boolean {
  return stopAbove !== undefined || stopBelow !== undefined || stopVotes !== undefined
}

/**
 * Returns the number of samples that there are after each round of an arm: 2, 4, 8 and so on up to its `samples`; one round without
 * thresholds.
 */
export function roundsOf(arm: PolicyArm): readonly number[] {
  const { samples = 1 } = arm
  if (!hasRounds(arm)) return [samples]
  const rounds: number[] = []
  for (let count = FIRST_ROUND; count < samples; count *= 2) rounds.push(count)
  return [...rounds, samples]
}

/** The answer that an arm has chosen after a round. */
interface Chosen {
  /** Its P(correct), in [0, 1]; null where it is unknown. */
  readonly confidence: number | null
  /** How many candidates, draft included, give it. */
  readonly votes: number
}

/** Returns how many candidates give an answer; texts without one do not agree. */
export function votesFor(
  answer: string | null,
  candidates: readonly { readonly answer: string | null }[],
): number {
  return answer === null ? 0 : candidates.filter((one) => one.answer === answer).length
}

/**
 * Plays the rounds of an arm on samples that are there already.
 *
 * @param choose returns what the arm chooses among the draft and so many samples
 * @returns the choice after the round that ended the sampling
 */
export function playRounds<Choice extends Chosen>(
  arm: PolicyArm,
  choose: (samples: number) => Choice,
): Choice {
  const [first, ...later] = roundsOf(arm)
  let choice = choose(first!)
  for (const count of later) {
    if (isSettled(arm, choice)) break
    choice = choose(count)
  }
  return choice
}

/** Whether an arm takes no further samples beside an answer. */
export function isSettled(
  { stopAbove, stopBelow, stopVotes }: PolicyArm,
  { confidence, votes }: Chosen,
): boolean {
  if (votes >= (stopVotes ?? Number.POSITIVE_INFINITY)) return true
  if (confidence === null) return false
  return confidence >= (stopAbove ?? Number.POSITIVE_INFINITY) || confidence < (stopBelow ?? 0)
}

/** Returns the samples in several orders: from the first one on, from the third one on, and so on, each time going round. */
export function ordersOf<Sample>(samples: readonly Sample[]): readonly (readonly Sample[])[] {
  return samples.flatMap((_, first) =>
    first % FIRST_ROUND === 0 ? [[...samples.slice(first), ...samples.slice(0, first)]] : [],
  )
}
