/** @file Best-of-N: the candidate of the highest score, a baseline of LTO (arXiv 2509.26314, section 5). */

interface ScoredCandidate {
  /** Extracted and normalised answer; null when there is none. */
  readonly answer: string | null
  readonly score: number
  readonly reward: number
}

/**
 * Returns the index of the highest score (ties: the higher reward, then the earliest) among the candidates with an
 * answer: a text without one may be likely, and is of no use. Among all when none has an answer.
 *
 * @param candidates at least one; no score is NaN
 */
export function bestOfN(candidates: readonly ScoredCandidate[]): number {
  const indices = [...candidates.keys()]
  const answered = indices.filter((index) => candidates[index]!.answer !== null)
  return (answered.length > 0 ? answered : indices).reduce((best, index) => {
    const [one, other] = [candidates[index]!, candidates[best]!]
    const isBetter = one.score > other.score || (one.score === other.score && one.reward > other.reward)
    return isBetter ? index : best
  })
}
