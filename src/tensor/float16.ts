/**
 * @file IEEE half precision for storage. Not `Float16Array`: ONNX Runtime 1.30 mishandles that type, so the
 * engine process removes it.
 */

const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)

function encode(value: number): number {
  float[0] = value
  const word = bits[0]!
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // rounds past 65504: infinity
  if (magnitude < 0x38800000) {
    // Subnormal: count units of 2^-24; the product is exact, so rounding happens once, to even.
    const units = Math.abs(value) * 2 ** 24
    const floor = Math.floor(units)
    const rest = units - floor
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && (floor & 1) === 1) ? 1 : 0))
  }
  // Rebias the exponent by 127 - 15, then round the 13 dropped bits to nearest, ties to even.
  const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)
  return sign | (rounded >>> 13)
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
  // A loop, because `from` with a function uses iterators and takes ten times as long.
  for (let index = 0; index < values.length; index++) halves[index] = encode(values[index]!)
  return halves
}

/**
 * Value of each of the 65,536 halves, computed on first use: the neighbours of one query hold up to a
 * million halves.
 */
let decoded: Float32Array | undefined

/** Converts half-precision bits to fp32, exactly. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  decoded ??= Float32Array.from({ length: 2 ** 16 }, (_, half) => decode(half))
  const values = new Float32Array(halves.length)
  for (let index = 0; index < halves.length; index++) values[index] = decoded[halves[index]!]!
  return values
}
