/** @file Adam as LatentSeek uses it: fp32, no decay, one fresh state per request (arXiv 2505.13308, section 3). */

import type { AdamState, Latents } from '#ports'

export const ADAM = { beta2: 0.999, epsilon: 1e-8 } as const

export function freshAdam(latents: Latents): AdamState {
  return { m: new Float32Array(latents.data.length), v: new Float32Array(latents.data.length), step: 0 }
}
