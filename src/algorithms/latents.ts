/** @file Cuts latents to a length, rounds them to half precision as the store does, and reads the stored form. */

import type { Latents, LatentThought, PackedRows } from '#ports'
import { fitsFloat16, fromFloat16, fromFloat16Bytes, toFloat16 } from '#tensor'

/** Copies the first `length` positions, or all when there are fewer: `[S, D]` to `[min(S, length), D]`. */
export function takeLatents(latents: Latents, length: number): Latents {
  const kept = Math.max(0, Math.min(length, latents.length))
  return { data: latents.data.slice(0, kept * latents.width), length: kept, width: latents.width }
}

/** Copies the positions from `start` on: `[S, D]` to `[max(0, S - start), D]`. */
export function dropLatents({ data, length, width }: Latents, start: number): Latents {
  return { data: data.slice(start * width), length: Math.max(0, length - start), width }
}

/** Copies the latents at `positions`, in their order: `[S, D]` to `[positions, D]`. */
export function latentsAt({ data, width }: Latents, positions: readonly number[]): Latents {
  const copied = new Float32Array(positions.length * width)
  for (const [row, position] of positions.entries()) {
    copied.set(data.subarray(position * width, (position + 1) * width), row * width)
  }
  return { data: copied, length: positions.length, width }
}

/** Joins latents of one width: `[S, D]` and `[R, D]` to `[S + R, D]`. */
export function joinLatents(first: Latents, second: Latents): Latents {
  const data = new Float32Array(first.data.length + second.data.length)
  data.set(first.data)
  data.set(second.data, first.data.length)
  return { data, length: first.length + second.length, width: second.width }
}

/**
 * True when half precision can hold the latents: no value becomes infinite (beyond 65,504), and none is NaN.
 */
export function fitFloat16(latents: Latents): boolean {
  return fitsFloat16(latents.data)
}

/** Returns the latents as they are after storage in half precision. */
export function throughFloat16(latents: Latents): Latents {
  return { ...latents, data: fromFloat16(toFloat16(latents.data)) }
}

/** Returns stored latents as numbers. */
export function unpackLatents({ bytes, rows, width }: PackedRows): Latents {
  return { data: fromFloat16Bytes(bytes), length: rows, width }
}

/** Returns a stored latent thought as numbers, with the states of its last token where these are stored. */
export function unpackThought(
  { bytes, rows, width }: PackedRows,
  last: PackedRows | null = null,
): LatentThought {
  const thought = { data: fromFloat16Bytes(bytes), layers: rows, width }
  return last === null ? thought : { ...thought, last: fromFloat16Bytes(last.bytes) }
}

/** Returns states in their stored form; values that half precision cannot hold become infinite. */
export function packStates(states: Float32Array, width: number): PackedRows {
  const halves = toFloat16(states)
  const bytes = new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength)
  return { bytes, rows: states.length / width, width }
}
