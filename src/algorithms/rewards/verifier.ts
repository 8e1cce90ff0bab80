/**
 * @file Self-reward: the model judges its own answer, criterion by criterion.
 *
 * Papers: LatentSeek (arXiv 2505.13308), self-reward prompts and criteria; LatentEvolve (arXiv 2509.24771), Eq. 11: the
 * weighted mean of its criteria.
 */

import type { ScoreRow } from '#ports'
import type { Answer } from './judgement.ts'
import type { RewardTerm, TermScore } from './reward-judge.ts'

export interface VerdictCriterion {
  readonly name: string
  readonly weight: number
  /** Where the judge of this answer goes on: what the engine has of it, and the tokens that ask. */
  rowFor(answer: Answer): ScoreRow
}

/** One criterion, by index, asked of one answer. */
interface VerdictQuestion {
  readonly criterion: number
  readonly row: ScoreRow
}

/** To what degree each criterion holds, in [0, 1]: all questions in one batch, in order. */
export type AskJudge = (questions: readonly VerdictQuestion[]) => Promise<readonly number[]>

export interface VerifierOptions {
  readonly criteria: readonly VerdictCriterion[]
  readonly weight: number
  readonly ask: AskJudge
  /** False: every criterion is -1 and the model is not asked (an answer that never ended has nothing to judge). */
  isJudgeable(answer: Answer): boolean
}

/** Name of the criterion that stopping and admission ask about. */
const CORRECTNESS = 'correctness'

/**
 * The `verifier` term: sum_c w_c (q_c - 1) / sum_c w_c, q_c the degree to which criterion c holds. All answers and criteria
 * go to the model in one batch. P(correct) is that of the criterion named `correctness`, or the whole term's where no
 * criterion has that name.
 */
export function createVerifier(options: VerifierOptions): RewardTerm {
  const { ask, criteria, weight } = options
  const refused = criteria.map(() => 0)

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
      return answers.map((answer) => verdicts.get(answer) ?? weigh(criteria, refused))
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
