/** @file The stored form of latents and latent thoughts: fp16, row-major, little-endian. */

import { ServiceError } from '#errors'
import type { Latents, LatentThought } from '#ports'
import { fromFloat16, toFloat16 } from '#tensor'

/**
 * Encodes `[S, D]` latents as `2 * S * D` bytes.
 *
 * @throws ServiceError SHAPE_MISMATCH when the data does not fill `[length, width]`
 */
export function encodeLatents({ data, length, width }: Latents): Buffer {
  return toBytes(toHalves('store latents', data, length, width))
}

/** Reverses `encodeLatents`, up to fp16 rounding. */
export function decodeLatents(bytes: Buffer, length: number, width: number): Latents {
  return { data: fromBytes(bytes), length, width }
}

/** Exponent bits of an fp16 infinity or NaN. */
const NOT_FINITE = 0x7c00

/**
 * Encodes an `[L + 1, D]` thought as `2 * (L + 1) * D` bytes. Returns null when a value is NaN or beyond
 * fp16's range (65,504): such a thought is of no use in training.
 *
 * @throws ServiceError SHAPE_MISMATCH when the data does not fill `[layers, width]`
 */
export function encodeThought({ data, layers, width }: LatentThought): Buffer | null {
  const halves = toHalves('store a latent thought', data, layers, width)
  // Not `every`, which takes ten times as long: this runs before the response, over a million values for a
  // large model.
  for (const half of halves) if ((half & NOT_FINITE) === NOT_FINITE) return null
  return toBytes(halves)
}

/** Reverses `encodeThought`, up to fp16 rounding. */
export function decodeThought(bytes: Buffer, layers: number, width: number): LatentThought {
  return { data: fromBytes(bytes), layers, width }
}

function toHalves(operation: string, data: Float32Array, rows: number, width: number): Uint16Array {
  if (data.length !== rows * width) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `${operation}: expected ${rows} x ${width} values, got ${data.length}`,
    )
  }
  return toFloat16(data)
}

function toBytes(halves: Uint16Array): Buffer {
  return Buffer.from(halves.buffer, halves.byteOffset, halves.byteLength)
}

function fromBytes(bytes: Buffer): Float32Array {
  // Copied, because the driver's buffer may start at an odd address.
  return fromFloat16(new Uint16Array(new Uint8Array(bytes).buffer))
}
