/** @file Whether two runs of one decoder agree: token for token, unless the reference itself hardly prefers one to another. */

import type { Continuation } from '#ports'

export interface Agreement {
  /** Tokens decoded before the first one that differs, over all rows. */
  readonly alike: number
  /** Largest difference between the states that predicted them. */
  readonly stateError: number
  /** By how much the reference preferred its own token where rows part, in logits, at most; 0 when none part. */
  readonly preference: number
}

/**
 * Compares row by row up to the first token that differs; what follows it answers another question.
 *
 * @param logits of the reference: logits at two tokens, given a state `[D]`.
 */
export async function agreementOf(
  reference: readonly Continuation[],
  other: readonly Continuation[],
  logits: (state: Float32Array, tokens: readonly [number, number]) => Promise<Float32Array>,
): Promise<Agreement> {
  let alike = 0
  let stateError = 0
  let preference = 0
  for (const [row, { tokens, latents }] of reference.entries()) {
    const { width } = latents
    const theirs = other[row]!
    const parted = tokens.findIndex((token, t) => token !== theirs.tokens[t])
    const shared = parted === -1 ? tokens.length : parted
    alike += shared
    for (let i = 0; i < Math.min(shared, latents.length) * width; i++) {
      stateError = Math.max(stateError, Math.abs(latents.data[i]! - theirs.latents.data[i]!))
    }
    if (parted === -1) continue
    const state = latents.data.slice(parted * width, (parted + 1) * width)
    const [own, their] = await logits(state, [tokens[parted]!, theirs.tokens[parted] ?? tokens[parted]!])
    preference = Math.max(preference, own! - their!)
  }
  return { alike, stateError, preference }
}
