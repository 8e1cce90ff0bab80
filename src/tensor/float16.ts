/**
 * @file IEEE half precision for storage. Not `Float16Array`: ONNX Runtime 1.30 mishandles that type, so the
 * engine process removes it.
 */

const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)

/** fp32 bits, without the sign, of the smallest normal half, and of the smallest number that rounds past 65,504. */
const MIN_NORMAL = 0x38800000
const MIN_INFINITE = 0x477ff000

function encode(value: number): number {
  float[0] = value
  const word = bits[0]!
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= MIN_INFINITE) return sign | 0x7c00
  if (magnitude < MIN_NORMAL) {
    // Subnormal: count units of 2^-24; the product is exact, so rounding happens once, to even.
    const units = Math.abs(value) * 2 ** 24
    const floor = Math.floor(units)
    const rest = units - floor
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && (floor & 1) === 1) ? 1 : 0))
  }
  return sign | roundNormal(magnitude)
}

/** Rebiases the exponent by 127 - 15, then rounds the 13 dropped bits to nearest, ties to even. */
function roundNormal(magnitude: number): number {
  return (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13
}

function decode(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/**
 * Rounds to half precision (nearest, ties to even); values beyond 65504 become infinite. Same length, raw
 * bits.
 */
export function toFloat16(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length)
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  // A loop, because `from` with a function uses iterators and takes ten times as long.
  for (let index = 0; index < values.length; index++) {
    const word = words[index]!
    const magnitude = word & 0x7fffffff
    halves[index] =
      magnitude >= MIN_NORMAL && magnitude < MIN_INFINITE
        ? ((word >>> 16) & 0x8000) | roundNormal(magnitude)
        : encode(values[index]!)
  }
  return halves
}

/**
 * Returns whether half precision can hold all numbers: none is NaN, and none becomes infinite. One pass over the
 * bits.
 */
export function fitsFloat16(values: Float32Array): boolean {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let index = 0; index < words.length; index++)
    if ((words[index]! & 0x7fffffff) >= MIN_INFINITE) return false
  return true
}

/**
 * Value of each of the 65,536 halves, computed on first use: the neighbours of one query hold up to a
 * million halves.
 */
let decoded: Float32Array | undefined

/** Converts stored half-precision numbers (little-endian) to fp32, exactly; 2 bytes a value. */
export function fromFloat16Bytes(bytes: Uint8Array): Float32Array {
  // A view of 16-bit numbers cannot start at an odd address, as a driver's or a message's buffer may.
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes)
  return fromFloat16(new Uint16Array(buffer, byteOffset, byteLength / 2))
}

/** Converts half-precision bits to fp32, exactly. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  decoded ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => decode(half))
  const values = new Float32Array(halves.length)
  for (let index = 0; index < halves.length; index++) values[index] = decoded[halves[index]!]!
  return values
}
