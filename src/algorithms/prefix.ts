/** @file Prefixes: the tokens that the optimised latents decode to. */

/** Tokens up to and including the first EOS: what follows it is no part of the answer. */
export function untilEos(tokens: readonly number[], eosTokenIds: readonly number[]): readonly number[] {
  const end = tokens.findIndex((token) => eosTokenIds.includes(token))
  return end === -1 ? tokens : tokens.slice(0, end + 1)
}

export function sameTokens(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((token, index) => token === b[index])
}
