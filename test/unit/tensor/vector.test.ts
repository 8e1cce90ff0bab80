import { expect, test } from 'vitest'
import { argmax, dot, isFinite32, norm, softmax } from '#tensor'

test('dot and norm accumulate in fp64', () => {
  const big = new Float32Array(1000).fill(0.1)
  expect(dot(big, big)).toBeCloseTo(1000 * Math.fround(0.1) ** 2, 10)
  expect(norm([3, 4])).toBe(5)
  expect(() => dot([1], [1, 2])).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
})

test('argmax returns the first of equals and refuses an empty vector', () => {
  expect(argmax([1, 3, 3, 2])).toBe(1)
  expect(() => argmax([])).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
})

test('softmax sums to one, is stable, and sharpens as the temperature falls', () => {
  const p = softmax([1000, 1001, 999])
  expect(p.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 12)
  expect(p[1]! / p[0]!).toBeCloseTo(Math.E, 10)
  expect(softmax([1, 2], 0.1)[1]).toBeGreaterThan(softmax([1, 2], 1)[1]!)
  expect(softmax([])).toEqual(new Float64Array())
})

test('finite checks find one infinity or NaN, in a view too', () => {
  const values = Float32Array.from([3.4e38, -0, 1e-45, -3.4e38])
  expect(isFinite32(values)).toBe(true)
  expect(isFinite32(new Float32Array())).toBe(true)
  for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const spoilt = Float32Array.from([odd, 1, 2])
    expect(isFinite32(spoilt)).toBe(false)
    expect(isFinite32(spoilt.subarray(1))).toBe(true)
  }
})
