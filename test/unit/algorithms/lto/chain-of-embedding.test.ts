import { expect, test } from 'vitest'
import { coeComplex, coeReal } from '#algorithms'

const thought = (...states: readonly (readonly number[])[]) => ({
  data: Float32Array.from(states.flat()),
  layers: states.length,
  width: states[0]!.length,
})

test('worked by hand: a quarter turn in two steps, out and back', () => {
  // (1, 0) -> (2, 2) -> (0, 2): lengths sqrt(5) and 2 over sqrt(5), angles 45 and 45 degrees over 90.
  const path = thought([1, 0], [2, 2], [0, 2])
  const far = 2 / Math.sqrt(5)
  expect(coeReal(path)).toBeCloseTo((1 + far) / 2 - 0.5, 6)
  // Both steps have argument .5, so the modulus of their mean is the mean of their lengths.
  expect(coeComplex(path)).toBeCloseTo((1 + far) / 2, 6)
})

test('worked by hand: steps of different angle', () => {
  // (1, 0) -> (3, 0) -> (0, 1): lengths 2 and sqrt(10) over sqrt(2), angles 0 and 90 degrees over 90.
  const path = thought([1, 0], [3, 0], [0, 1])
  const [first, second] = [2 / Math.SQRT2, Math.sqrt(10) / Math.SQRT2]
  expect(coeReal(path)).toBeCloseTo((first + second - 1) / 2, 6)
  expect(coeComplex(path)).toBeCloseTo(Math.hypot(first + second * Math.cos(1), second * Math.sin(1)) / 2, 6)
})

test('both scores are independent of the scale of the states', () => {
  const states = [
    [1, 2, -1],
    [0.5, -1, 3],
    [2, 0, 1],
    [-1, 1, 1],
  ]
  const larger = states.map((state) => state.map((value) => value * 64))
  expect(coeReal(thought(...larger))).toBeCloseTo(coeReal(thought(...states)), 6)
  expect(coeComplex(thought(...larger))).toBeCloseTo(coeComplex(thought(...states)), 6)
})

test('a path of length 0, a zero state and parallel states give finite scores', () => {
  for (const path of [
    thought([1, 1], [1, 1]),
    thought([0, 0], [1, 2]),
    thought([1, 1, 1], [3, 3, 3]),
    thought([1, 2]),
  ]) {
    expect(coeReal(path)).not.toBeNaN()
    expect(coeComplex(path)).not.toBeNaN()
  }
})
