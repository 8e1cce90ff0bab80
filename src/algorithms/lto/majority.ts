/** @file Majority vote over extracted answers (self-consistency): the plain baseline of LTO (arXiv 2509.26314, section 5). */

export interface Vote {
  /** Extracted and normalised; null votes for nothing. */
  readonly answer: string | null
  readonly reward: number
}

/**
 * Index of the vote to return: from the answer with most votes (ties: higher total reward, then the one seen earliest)
 * the vote with the best reward (ties: earliest). Only when nobody has an answer is it the best reward of all.
 *
 * @returns -1 for no votes.
 */
export function majorityVote(votes: readonly Vote[]): number {
  const camps = new Map<string, number[]>()
  votes.forEach(({ answer }, index) => {
    if (answer !== null) camps.set(answer, [...(camps.get(answer) ?? []), index])
  })
  const total = (camp: readonly number[]) => camp.reduce((sum, index) => sum + votes[index]!.reward, 0)

  let winner: readonly number[] | null = null
  for (const camp of camps.values()) {
    const more = winner === null ? 1 : camp.length - winner.length || total(camp) - total(winner)
    if (more > 0) winner = camp
  }
  return bestOf(votes, winner ?? votes.keys())
}

function bestOf(votes: readonly Vote[], indices: Iterable<number>): number {
  let best = -1
  for (const index of indices) if (best === -1 || votes[index]!.reward > votes[best]!.reward) best = index
  return best
}
