/**
 * @file Verdicts read from logits: the judge says nothing, the model's first thought counts.
 *
 * Paper: LatentSeek (arXiv 2505.13308), self-reward.
 * Deviates: P(true) is read from the verdict's logits after one prefill per criterion. The published code lets the judge
 * write up to 4,096 tokens per criterion (that is `createWrittenVerdicts`).
 */

import type { LatentSession } from '#ports'
import type { AskJudge } from './verifier.ts'

/** First tokens of the words that say true, and false; disjoint, neither empty. */
export interface VerdictTokens {
  readonly trueTokens: readonly number[]
  readonly falseTokens: readonly number[]
}

export interface LogitVerdictsOptions {
  readonly session: Pick<LatentSession, 'score'>
  /** By criterion. */
  readonly words: readonly VerdictTokens[]
  /** Called with the tokens that judging fed to the model. */
  onTokens(count: number): void
}

/** Degrees are P(true) over the verdict words alone. */
export function createLogitVerdicts({ session, words, onTokens }: LogitVerdictsOptions): AskJudge {
  const tokens = [...new Set(words.flatMap(({ trueTokens, falseTokens }) => [...trueTokens, ...falseTokens]))]
  return async (questions) => {
    const rows = questions.map(({ row }) => row)
    onTokens(rows.reduce((sum, { suffix }) => sum + suffix.length, 0))
    const logits = await session.score(rows, tokens)
    return questions.map(({ criterion }, index) => probability(words[criterion]!, tokens, logits[index]))
  }
}

/** P(true) = exp(lse(true)) / (exp(lse(true)) + exp(lse(false))). */
function probability(
  words: VerdictTokens,
  tokens: readonly number[],
  logits: Float32Array | undefined,
): number {
  const of = (said: readonly number[]) =>
    logSumExp(said.map((token) => logits?.[tokens.indexOf(token)] ?? Number.NaN))
  return 1 / (1 + Math.exp(of(words.falseTokens) - of(words.trueTokens)))
}

function logSumExp(values: readonly number[]): number {
  const peak = Math.max(...values)
  return peak + Math.log(values.reduce((sum, value) => sum + Math.exp(value - peak), 0))
}
