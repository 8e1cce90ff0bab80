/** @file Cuts latents to a length, and rounds them to half precision as the store does. */

import type { Latents } from '#ports'
import { fromFloat16, isFinite32, toFloat16 } from '#tensor'

/** Copies the first `length` positions, or all when there are fewer: `[S, D]` to `[min(S, length), D]`. */
export function takeLatents(latents: Latents, length: number): Latents {
  const kept = Math.max(0, Math.min(length, latents.length))
  return { data: latents.data.slice(0, kept * latents.width), length: kept, width: latents.width }
}

/**
 * True when half precision can hold the latents: no value becomes infinite (beyond 65,504), and none is NaN.
 */
export function fitFloat16(latents: Latents): boolean {
  return isFinite32(throughFloat16(latents).data)
}

/** Returns the latents as they are after storage in half precision. */
export function throughFloat16(latents: Latents): Latents {
  return { ...latents, data: fromFloat16(toFloat16(latents.data)) }
}
