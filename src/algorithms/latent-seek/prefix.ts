/** @file The prefix of an answer: its first S tokens, which the optimised latents decode to. */

/** Upper bound on S, as in LatentSeek's published code. */
export const MAX_UPDATE_LENGTH = 300

/**
 * Number of optimised latents: S = max(1, min(floor(rho T), 300)), T the tokens of the draft, EOS included
 * (LatentSeek, arXiv 2505.13308, section 3). The first S are optimised, since later starts do worse (table
 * 13).
 *
 * Deviates: the max is ours; the published code returns a short answer untouched when rho T rounds to 0.
 */
export function updateLength(rho: number, answerTokens: number): number {
  return Math.max(1, Math.min(Math.floor(rho * answerTokens), MAX_UPDATE_LENGTH))
}

/** Tokens up to and including the first EOS; the tokens after it are not part of the answer. */
export function untilEos(tokens: readonly number[], eosTokenIds: readonly number[]): readonly number[] {
  const end = tokens.findIndex((token) => eosTokenIds.includes(token))
  return end === -1 ? tokens : tokens.slice(0, end + 1)
}

export function sameTokens(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((token, index) => token === b[index])
}
