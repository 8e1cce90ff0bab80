/**
 * @file The `verifier` term, a self-reward: the model judges its own answer by several criteria.
 *
 * Papers: LatentSeek (arXiv 2505.13308), self-reward prompts and criteria; LatentEvolve (arXiv 2509.24771),
 * Eq. 11: the weighted mean of its criteria.
 */

import type { ScoreRow } from '#ports'
import type { Answer } from './judgement.ts'
import type { RewardTerm, TermScore } from './reward-judge.ts'

export interface VerdictCriterion {
  readonly name: string
  readonly weight: number
  /** Returns the sequence that holds the answer, and the tokens to append that ask for the verdict. */
  rowFor(answer: Answer): ScoreRow
}

/** Question of one criterion, by index, about one answer. */
interface VerdictQuestion {
  readonly criterion: number
  readonly row: ScoreRow
}

/**
 * Asks the model all questions in one batch and returns the degree, in [0, 1], to which each criterion
 * holds, in order.
 */
export type AskJudge = (questions: readonly VerdictQuestion[]) => Promise<readonly number[]>

export interface VerifierOptions {
  readonly criteria: readonly VerdictCriterion[]
  readonly weight: number
  readonly ask: AskJudge
  /** False: every criterion is -1 and the model is not asked, e.g. for an answer that did not end. */
  isJudgeable(answer: Answer): boolean
}

/** Name of the criterion whose degree is P(correct), which stopping and admission require. */
const CORRECTNESS = 'correctness'

/**
 * Creates the `verifier` term: sum_c w_c (q_c - 1) / sum_c w_c, where q_c is the degree to which criterion c
 * holds. All answers and criteria go to the model in one batch. P(correct) is the degree of the criterion
 * named `correctness`, or 1 + the value of the whole term when no criterion has that name.
 */
export function createVerifier(options: VerifierOptions): RewardTerm {
  const { ask, criteria, weight } = options
  const noneHolds = criteria.map(() => 0)

  return {
    name: 'verifier',
    weight,
    async score(answers) {
      const judgeable = answers.filter((answer) => options.isJudgeable(answer))
      const questions = judgeable.flatMap((answer) =>
        criteria.map((each, criterion) => ({ criterion, row: each.rowFor(answer) })),
      )
      const degrees = questions.length === 0 ? [] : await ask(questions)

      const verdicts = new Map<Answer, TermScore>()
      judgeable.forEach((answer, index) => {
        const own = degrees.slice(index * criteria.length, (index + 1) * criteria.length)
        verdicts.set(answer, weigh(criteria, own))
      })
      return answers.map((answer) => verdicts.get(answer) ?? weigh(criteria, noneHolds))
    },
  }
}

function weigh(criteria: readonly VerdictCriterion[], degrees: readonly number[]): TermScore {
  const parts: Record<string, number> = {}
  let sum = 0
  let weights = 0
  criteria.forEach((criterion, index) => {
    const value = degrees[index]! - 1
    parts[criterion.name] = value
    sum += criterion.weight * value
    weights += criterion.weight
  })
  const value = Math.max(-1, Math.min(0, sum / weights))
  return { value, parts, correctness: 1 + (parts[CORRECTNESS] ?? value) }
}
