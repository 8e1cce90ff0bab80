/** @file The stored form of latents and latent thoughts: fp16, row-major, little-endian. */

import { ServiceError } from '#errors'
import type { Latents, LatentThought } from '#ports'
import { fitsFloat16, fromFloat16Bytes, toFloat16 } from '#tensor'

/**
 * Encodes `[S, D]` latents as `2 * S * D` bytes.
 *
 * @throws ServiceError SHAPE_MISMATCH when the data does not fill `[length, width]`
 */
export function encodeLatents({ data, length, width }: Latents): Buffer {
  checkShape('store latents', data, length, width)
  return toBytes(toFloat16(data))
}

/** Reverses `encodeLatents`, up to fp16 rounding. */
export function decodeLatents(bytes: Buffer, length: number, width: number): Latents {
  return { data: fromFloat16Bytes(bytes), length, width }
}

/**
 * Encodes an `[L + 1, D]` thought as `2 * (L + 1) * D` bytes. Returns null when a value is NaN or beyond
 * fp16's range (65,504): such a thought is of no use in training.
 *
 * @throws ServiceError SHAPE_MISMATCH when the data does not fill `[layers, width]`
 */
export function encodeThought({ data, layers, width }: LatentThought): Buffer | null {
  checkShape('store a latent thought', data, layers, width)
  return fitsFloat16(data) ? toBytes(toFloat16(data)) : null
}

/** Encodes the states of a thought's last token, `[K, D]`; null without them, or when fp16 cannot hold a value. */
export function encodeLastStates({ last, width }: LatentThought): Buffer | null {
  if (last === undefined) return null
  checkShape('store the states of the last token', last, Math.ceil(last.length / width), width)
  return fitsFloat16(last) ? toBytes(toFloat16(last)) : null
}

function checkShape(operation: string, data: Float32Array, rows: number, width: number): void {
  if (data.length !== rows * width) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `${operation}: expected ${rows} x ${width} values, got ${data.length}`,
    )
  }
}

function toBytes(halves: Uint16Array): Buffer {
  return Buffer.from(halves.buffer, halves.byteOffset, halves.byteLength)
}
