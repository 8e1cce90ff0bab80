/** @file Marks the answers that are chosen only where no other can be. */

import type { Evaluation, Standing } from '#algorithms'
import type { RefutedAnswers } from '../solve-state.ts'

/** Returns the evaluations with their standings; unchanged while no answer to the question is refuted. */
export function withStandings(
  evaluations: readonly Evaluation[],
  refuted: RefutedAnswers,
): readonly Evaluation[] {
  if (refuted.size === 0) return evaluations
  return evaluations.map((evaluation) => {
    const standing = standingOf(evaluation.answer.answer, refuted)
    if (standing === null) return evaluation
    return { ...evaluation, judgement: { ...evaluation.judgement, standing } }
  })
}

function standingOf(answer: string | null, refuted: RefutedAnswers): Standing | null {
  if (answer === null) return 'unanswered'
  return refuted.has(answer) ? 'refuted' : null
}
