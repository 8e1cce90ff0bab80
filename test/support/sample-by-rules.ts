/** @file Reference of the sampler: one row, in fp64 and in plain code. */

import type { SamplingRules } from '#ports'
import { softmax } from '#tensor'

/** As `MAX_CANDIDATES` of the decoder room; written again, so that a change of it is noticed. */
const CANDIDATES = 128

export interface Weighted {
  readonly token: number
  readonly weight: number
}

/** Returns the tokens that may be drawn and their probabilities, which need not sum up to 1, by id. */
export function weightsByRules(
  logits: ArrayLike<number>,
  temperature: number,
  rules: SamplingRules = {},
  seen: readonly number[] = [],
): Weighted[] {
  const { topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = rules
  const penalty = Math.fround(repetitionPenalty)
  const changed = Array.from(logits, (logit) => (Number.isNaN(logit) ? Number.NEGATIVE_INFINITY : logit))
  for (const token of new Set(seen)) {
    changed[token] = changed[token]! < 0 ? changed[token]! * penalty : changed[token]! / penalty
  }
  const tokens = changed
    .map((_, token) => token)
    .sort((a, b) => changed[b]! - changed[a]! || a - b)
    .slice(0, CANDIDATES)
  const probabilities = softmax(
    tokens.map((token) => changed[token]!),
    temperature,
  ).slice(0, topK || CANDIDATES)
  const total = probabilities.reduce((sum, p) => sum + p, 0)
  let before = 0
  const kept: Weighted[] = []
  for (const [rank, p] of probabilities.entries()) {
    const isInside = topP >= 1 || before < Math.fround(topP) * total
    if (isInside && p >= Math.fround(minP) * probabilities[0]!) kept.push({ token: tokens[rank]!, weight: p })
    before += p
  }
  return kept.sort((a, b) => a.token - b.token)
}

/** Returns the first token whose cumulated weight exceeds `u` times the sum of the weights. */
export function drawFrom(weights: readonly Weighted[], u: number): number {
  const total = weights.reduce((sum, { weight }) => sum + weight, 0)
  let cumulated = 0
  for (const { token, weight } of weights) {
    cumulated += weight
    if (cumulated > u * total) return token
  }
  return weights.at(-1)!.token
}
