/**
 * @file Self-reward: the model judges its own answer, criterion by criterion, by the logits of its verdict.
 *
 * Paper: LatentSeek (arXiv 2505.13308), self-reward prompts and criteria.
 * Deviates: P(true) is read from the verdict's logits after one prefill per criterion. The published code lets the judge
 * write up to 4,096 tokens per criterion and parses prompt + output, where the prompt's own example counts as a verdict.
 */

import type { LatentSession, ScoreRow } from '../ports.ts'
import type { Answer } from './judgement.ts'
import type { RewardTerm, TermScore } from './reward-judge.ts'

export interface VerdictCriterion {
  readonly name: string
  readonly weight: number
  /** First tokens of the words that say true, and false; disjoint, neither empty. */
  readonly trueTokens: readonly number[]
  readonly falseTokens: readonly number[]
  /** Where the verdict on this answer is read. */
  rowFor(answer: Answer): ScoreRow
}

export interface VerifierOptions {
  readonly session: Pick<LatentSession, 'score'>
  readonly criteria: readonly VerdictCriterion[]
  readonly weight: number
  /** False: every criterion is -1 and the model is not asked (an answer that never ended has nothing to judge). */
  isJudgeable(answer: Answer): boolean
  /** Called with the tokens that judging fed to the model. */
  onFed(tokens: number): void
}

/** Name of the criterion that stopping and admission ask about. */
const CORRECTNESS = 'correctness'

/**
 * The `verifier` term: sum_c w_c (P_c(true) - 1) / sum_c w_c. All answers and criteria go to the model in one batch.
 * P(correct) is that of the criterion named `correctness`, or the whole term's where no criterion has that name.
 */
export function createVerifier(options: VerifierOptions): RewardTerm {
  const { session, criteria, weight } = options
  const verdictTokens = [...new Set(criteria.flatMap((each) => [...each.trueTokens, ...each.falseTokens]))]

  const refused = criteria.map(() => 0)

  return {
    name: 'verifier',
    weight,
    async score(answers) {
      const judgeable = answers.filter((answer) => options.isJudgeable(answer))
      const rows = judgeable.flatMap((answer) => criteria.map((criterion) => criterion.rowFor(answer)))
      options.onFed(rows.reduce((sum, row) => sum + row.suffix.length, 0))
      const logits = rows.length === 0 ? [] : await session.score(rows, verdictTokens)

      const verdicts = new Map<Answer, TermScore>()
      judgeable.forEach((answer, index) => {
        const own = logits.slice(index * criteria.length, (index + 1) * criteria.length)
        const asked = criteria.map((each, c) => probability(each, verdictTokens, own[c]))
        verdicts.set(answer, weigh(criteria, asked))
      })
      return answers.map((answer) => verdicts.get(answer) ?? weigh(criteria, refused))
    },
  }
}

function weigh(criteria: readonly VerdictCriterion[], probabilities: readonly number[]): TermScore {
  const parts: Record<string, number> = {}
  let sum = 0
  let weights = 0
  criteria.forEach((criterion, index) => {
    const value = probabilities[index]! - 1
    parts[criterion.name] = value
    sum += criterion.weight * value
    weights += criterion.weight
  })
  const value = Math.max(-1, Math.min(0, sum / weights))
  return { value, parts, correctness: 1 + (parts[CORRECTNESS] ?? value) }
}

/** P(true) = exp(lse(true)) / (exp(lse(true)) + exp(lse(false))), over the verdict words alone. */
function probability(
  criterion: VerdictCriterion,
  verdictTokens: readonly number[],
  logits: Float32Array | undefined,
): number {
  const of = (tokens: readonly number[]) =>
    logSumExp(tokens.map((token) => logits?.[verdictTokens.indexOf(token)] ?? Number.NaN))
  return 1 / (1 + Math.exp(of(criterion.falseTokens) - of(criterion.trueTokens)))
}

function logSumExp(values: readonly number[]): number {
  const peak = Math.max(...values)
  return peak + Math.log(values.reduce((sum, value) => sum + Math.exp(value - peak), 0))
}
