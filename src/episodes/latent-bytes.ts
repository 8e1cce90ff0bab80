/** @file Latents as they are stored: fp16, row-major, little-endian. */

import type { Latents } from '#algorithms'
import { ServiceError } from '#errors'
import { fromFloat16, toFloat16 } from '#tensor'

/**
 * `[S, D]` latents to `2 * S * D` bytes.
 *
 * @throws ServiceError SHAPE_MISMATCH when the data does not fill `[length, width]`
 */
export function encodeLatents({ data, length, width }: Latents): Buffer {
  if (data.length !== length * width) {
    throw new ServiceError(
      'SHAPE_MISMATCH',
      `store latents: expected ${length} x ${width} values, got ${data.length}`,
    )
  }
  const halves = toFloat16(data)
  return Buffer.from(halves.buffer, halves.byteOffset, halves.byteLength)
}

/** The inverse, up to fp16 rounding. */
export function decodeLatents(bytes: Buffer, length: number, width: number): Latents {
  // Copied: the driver's buffer may start at an odd address.
  const halves = new Uint16Array(new Uint8Array(bytes).buffer)
  return { data: fromFloat16(halves), length, width }
}
