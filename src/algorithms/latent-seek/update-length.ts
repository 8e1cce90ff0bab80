/** @file How many latents move: S of LatentSeek (arXiv 2505.13308, section 3; later starts do worse, table 13). */

/** Cap of the published code. */
export const MAX_UPDATE_LENGTH = 300

/**
 * S = max(1, min(floor(rho T), 300)), T the tokens of the draft, EOS included.
 *
 * Deviates: the max is ours; the published code returns a short answer untouched when rho T rounds to 0.
 */
export function updateLength(rho: number, answerTokens: number): number {
  return Math.max(1, Math.min(Math.floor(rho * answerTokens), MAX_UPDATE_LENGTH))
}
