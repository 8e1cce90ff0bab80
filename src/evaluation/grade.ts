/** @file Grades answers by the answer format of a model profile: both sides are normalised, then compared. */

import type { Problem } from './problems.ts'
import { invalid } from './problems.ts'

/** Returns a caller's or a solver's answer so that equal answers are equal texts; null when nothing is left of it. */
export type Normalise = (answer: string) => string | null

/** Returns whether an answer is the one of the problem. */
export type Grade = (problem: Problem, answer: string | null) => boolean

/**
 * Normalises every reference once, before the first question is asked.
 *
 * @param file name of the problems, for errors
 * @throws ServiceError REQUEST_INVALID naming the line of a reference that no answer can equal
 */
export function createGrade(problems: readonly Problem[], normalise: Normalise, file: string): Grade {
  const references = new Map(
    problems.map((problem) => {
      const reference = normalise(problem.reference)
      if (reference === null) {
        throw invalid(
          file,
          problem.line,
          'an answer, got a text that the model profile normalises to nothing',
        )
      }
      return [problem.id, reference]
    }),
  )
  return ({ id }, answer) => answer !== null && normalise(answer) === references.get(id)
}
