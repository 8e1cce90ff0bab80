import { expect, test } from 'vitest'
import { createRandomProjection, dot, norm } from '#tensor'
import { unitVector } from '../../support/episodes.ts'

/** Returns the rows of the matrix behind a projection. */
function rowsOf(width: number, dims: number, seed: number): Float32Array[] {
  const project = createRandomProjection(width, dims, seed)
  const columns = Array.from({ length: width }, (_, index) => {
    const axis = new Float32Array(width)
    axis[index] = 1
    return project(axis)
  })
  return Array.from({ length: dims }, (_, row) => Float32Array.from(columns, (column) => column[row]!))
}

test('the rows are orthonormal, and mix all values of a vector', () => {
  const rows = rowsOf(40, 12, 3)
  for (const [index, row] of rows.entries())
    for (const [other, second] of rows.slice(0, index + 1).entries())
      expect(dot(row, second)).toBeCloseTo(index === other ? 1 : 0, 6)
  // A matrix that copies some values and drops others has columns of zeros.
  const columns = Array.from({ length: 40 }, (_, column) => norm(rows.map((row) => row[column]!)))
  expect(Math.min(...columns)).toBeGreaterThan(0.2)
})

test('seed and width determine the projection, in every release', () => {
  const vector = Float32Array.from({ length: 300 }, (_, index) => Math.fround((index % 7) - 3))
  const projected = createRandomProjection(300, 256, 1)(vector)
  expect(createRandomProjection(300, 256, 1)(vector)).toEqual(projected)
  expect(createRandomProjection(300, 256, 2)(vector)).not.toEqual(projected)
  // Stored projections are compared with new ones: these figures must never change.
  const figures = [0, 1, 100, 255].map((index) => Number(projected[index]!.toFixed(4)))
  expect(figures).toEqual([2.696, 0.1478, -3.6654, -0.6763])
})

test('cosines are kept up to the error of 256 random directions', () => {
  const project = createRandomProjection(900, 256, 1)
  let squares = 0
  for (let pair = 0; pair < 100; pair++) {
    const [a, b] = [unitVector(2 * pair, 900), unitVector(2 * pair + 1, 900)]
    const [left, right] = [project(a), project(b)]
    expect(norm(left)).toBeLessThan(1)
    squares += (dot(left, right) / (norm(left) * norm(right)) - dot(a, b)) ** 2
  }
  expect(Math.sqrt(squares / 100)).toBeLessThan(1 / Math.sqrt(256))
})

test.each([1, 8, 256])('vectors of %d values keep them, filled up with zeros', (width) => {
  const vector = unitVector(5, width)
  const projected = createRandomProjection(width, 256, 1)(vector)
  expect(projected).toHaveLength(256)
  expect(projected.slice(0, width)).toEqual(vector)
  expect(projected.slice(width).every((value) => value === 0)).toBe(true)
})

test('a zero vector stays zero', () => {
  expect(createRandomProjection(300, 256, 1)(new Float32Array(300))).toEqual(new Float32Array(256))
})

test('another width is refused, and so is a seed out of range', () => {
  expect(() => createRandomProjection(300, 256, 1)(new Float32Array(299))).toThrow(
    'random projection: expected a vector of width 300, got 299',
  )
  expect(() => createRandomProjection(300, 256, -1)).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID' }),
  )
})
