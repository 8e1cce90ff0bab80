/** @file Latents as values: cutting them and storing them. */

import type { Latents } from '#ports'
import { fromFloat16, toFloat16 } from '#tensor'

/** Copies the first `length` positions, or all of them when there are fewer. `[S, D]` to `[min(S, length), D]`. */
export function takeLatents(latents: Latents, length: number): Latents {
  const kept = Math.max(0, Math.min(length, latents.length))
  return { data: latents.data.slice(0, kept * latents.width), length: kept, width: latents.width }
}

/** Whether half precision can hold them: nothing infinite (beyond 65,504), no NaN. */
export function fitFloat16(latents: Latents): boolean {
  return throughFloat16(latents).data.every(Number.isFinite)
}

/** What these latents are once the store has kept them in half precision. */
export function throughFloat16(latents: Latents): Latents {
  return { ...latents, data: fromFloat16(toFloat16(latents.data)) }
}
