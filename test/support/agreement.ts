/**
 * @file Compares two runs of one decoder token by token, and measures how much the reference preferred its
 * own token.
 */

import type { Continuation } from '#ports'

export interface Agreement {
  /** Number of tokens before the first one that differs, over all rows. */
  readonly alike: number
  /** Largest difference between the states that predicted these tokens. */
  readonly stateError: number
  /**
   * Largest preference of the reference for its own token where rows diverge, in logits; 0 when none
   * diverge.
   */
  readonly preference: number
}

/**
 * Compares row by row up to the first token that differs; later tokens have different contexts.
 *
 * @param logits returns the reference's logits of two tokens, given a state `[D]`.
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
    const otherRow = other[row]!
    const divergence = tokens.findIndex((token, t) => token !== otherRow.tokens[t])
    const shared = divergence === -1 ? tokens.length : divergence
    alike += shared
    for (let i = 0; i < Math.min(shared, latents.length) * width; i++) {
      stateError = Math.max(stateError, Math.abs(latents.data[i]! - otherRow.latents.data[i]!))
    }
    if (divergence === -1) continue
    const state = latents.data.slice(divergence * width, (divergence + 1) * width)
    const [own, others] = await logits(state, [
      tokens[divergence]!,
      otherRow.tokens[divergence] ?? tokens[divergence]!,
    ])
    preference = Math.max(preference, own! - others!)
  }
  return { alike, stateError, preference }
}
