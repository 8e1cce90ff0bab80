import { expect, test } from 'vitest'
import { createRandom, fromFloat16, fromFloat16Bytes, toFloat16 } from '#tensor'

test('every half is unchanged by conversion to fp32 and back', () => {
  const halves = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
    (i) => (i & 0x7c00) !== 0x7c00 || !(i & 0x3ff),
  )
  expect(toFloat16(fromFloat16(halves))).toEqual(halves)
})

test('rounds as the Float16Array of V8 does', () => {
  const random = createRandom(7)
  const values = Float32Array.from(
    { length: 20_000 },
    () => random.gaussian() * 2 ** (random.uniform() * 44 - 28),
  )
  const ties = [
    2049,
    2051,
    65519.99,
    65520,
    -65520,
    2 ** -25,
    3 * 2 ** -25,
    2 ** -14 - 2 ** -26,
    -0,
    1e30,
    Infinity,
    -Infinity,
  ]
  for (const input of [values, Float32Array.from(ties)]) {
    expect(toFloat16(input)).toEqual(new Uint16Array(Float16Array.from(input).buffer))
  }
})

test('NaN stays NaN', () => {
  expect(fromFloat16(toFloat16(Float32Array.of(Number.NaN)))[0]).toBeNaN()
})

test('reads stored halves at any address, from arrays and from buffers, whose slices are views', () => {
  const halves = toFloat16(Float32Array.of(0.5, -2, 65_504))
  const whole = new Uint8Array(1 + halves.byteLength)
  whole.set(new Uint8Array(halves.buffer), 1)
  const expected = Float32Array.of(0.5, -2, 65_504)
  expect(fromFloat16Bytes(new Uint8Array(halves.buffer))).toEqual(expected)
  expect(fromFloat16Bytes(whole.subarray(1))).toEqual(expected)
  expect(fromFloat16Bytes(Buffer.from(whole.buffer, 1))).toEqual(expected)
})
