/** @file Keeps latent thoughts that are no numbers out of the scores. */

import type { LatentThought } from '#ports'
import { isFinite32 } from '#tensor'

const NO_STATES = new Float32Array()

/** The thought, or null when it holds NaN or infinity: one of those in a batch would spoil the scores of all. */
export function finiteThought(thought: LatentThought | null): LatentThought | null {
  if (thought === null) return null
  const { data, last = NO_STATES, gated } = thought
  const areFinite = isFinite32(data) && isFinite32(last)
  return areFinite && Number.isFinite((gated?.reward ?? 0) + (gated?.gate ?? 0)) ? thought : null
}
