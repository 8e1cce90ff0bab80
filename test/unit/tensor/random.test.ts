import { expect, test } from 'vitest'
import { createRandom } from '#tensor'

const draw = (seed: number, stream: number, count: number) => {
  const random = createRandom(seed, stream)
  return Array.from({ length: count }, () => random.uniform())
}

test('numbers depend on seed and stream', () => {
  const reference = draw(5, 0, 16)
  expect(draw(5, 0, 16)).toEqual(reference)
  for (const [seed, stream] of [
    [6, 0],
    [5, 1],
    [5 + 2 ** 32, 0],
    [2 ** 53 - 1, 0],
  ] as const) {
    const other = draw(seed, stream, 16)
    expect(other.filter((value, i) => value === reference[i])).toEqual([])
  }
})

test('neighbouring streams are not correlated', () => {
  const a = draw(1, 0, 20_000)
  const b = draw(1, 1, 20_000)
  const covariance = a.reduce((sum, value, i) => sum + (value - 0.5) * (b[i]! - 0.5), 0) / a.length
  expect(Math.abs(covariance * 12)).toBeLessThan(5 / Math.sqrt(a.length)) // five standard errors
})

test('uniforms are exact in fp32, in [0, 1), and evenly distributed', () => {
  const values = draw(3, 9, 40_000)
  const bins = new Array<number>(20).fill(0)
  for (const value of values) {
    expect(Math.fround(value)).toBe(value)
    bins[Math.floor(value * 20)]!++
  }
  expect(Math.max(...values)).toBeLessThan(1)
  const expected = values.length / 20
  const chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  expect(chiSquare).toBeLessThan(43.8) // 99.9 % of 19 degrees of freedom
})

test('gaussians have mean 0, variance 1 and a normal fourth moment', () => {
  const random = createRandom(11)
  const values = Array.from({ length: 40_000 }, () => random.gaussian())
  const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length
  expect(moment(1)).toBeCloseTo(0, 1)
  expect(Math.abs(moment(2) - 1)).toBeLessThan(0.04)
  expect(Math.abs(moment(4) - 3)).toBeLessThan(0.3)
})

test('refuses seeds and streams out of range', () => {
  for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) {
    expect(() => createRandom(seed)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
  }
  expect(() => createRandom(1, 2 ** 32)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }))
})
