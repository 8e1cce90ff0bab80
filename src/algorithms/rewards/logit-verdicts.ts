/**
 * @file Reads verdicts from next-token logits; nothing is generated.
 *
 * Paper: LatentSeek (arXiv 2505.13308), self-reward.
 * Deviates: P(true) comes from the verdict's logits after one prefill per criterion. The published code lets
 * the judge write up to 4,096 tokens per criterion (`createWrittenVerdicts` does that).
 */

import type { LatentSession } from '#ports'
import type { AskJudge } from './verifier.ts'

/** First tokens of the words that mean true, and of those that mean false; disjoint, neither empty. */
export interface VerdictTokens {
  readonly trueTokens: readonly number[]
  readonly falseTokens: readonly number[]
}

export interface LogitVerdictsOptions {
  readonly session: Pick<LatentSession, 'score'>
  /** Verdict tokens of each criterion, by index. */
  readonly words: readonly VerdictTokens[]
  /** Called with the number of tokens of all questions; a beginning that the engine feeds once counts in each. */
  onTokens(count: number): void
}

/** Creates an `AskJudge` whose degrees are P(true), normalised over the verdict words alone. */
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
  const logMass = (verdict: readonly number[]) =>
    logSumExp(verdict.map((token) => logits?.[tokens.indexOf(token)] ?? Number.NaN))
  return 1 / (1 + Math.exp(logMass(words.falseTokens) - logMass(words.trueTokens)))
}

function logSumExp(values: readonly number[]): number {
  const peak = Math.max(...values)
  return peak + Math.log(values.reduce((sum, value) => sum + Math.exp(value - peak), 0))
}
