import { expect, test } from 'vitest'
import { largestEigenpairs } from '#tensor'

test('finds the largest eigenvalues of a symmetric matrix and their eigenvectors, largest first', async () => {
  // Eigenvalues 4, 2 and 1 along the columns of a rotation.
  const [c, s] = [Math.cos(0.7), Math.sin(0.7)]
  const vectors = [
    [c, s, 0],
    [-s, c, 0],
    [0, 0, 1],
  ]
  const values = [2, 4, 1]
  const matrix = new Float64Array(9)
  for (const [k, vector] of vectors.entries())
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++) matrix[3 * i + j]! += values[k]! * vector[i]! * vector[j]!
  const given = matrix.slice()

  const pairs = await largestEigenpairs(matrix, 2)

  expect(pairs.map(({ value }) => value)).toEqual([expect.closeTo(4, 9), expect.closeTo(2, 9)])
  for (const [index, expected] of [vectors[1]!, vectors[0]!].entries()) {
    const cosine = pairs[index]!.vector.reduce((sum, value, at) => sum + value * expected[at]!, 0)
    expect(Math.abs(cosine)).toBeCloseTo(1, 9)
  }
  expect(matrix).toEqual(given)
})

test('gives zeros where nothing is left: beyond the rank, and of no rows', async () => {
  const pairs = await largestEigenpairs(Float64Array.of(4, 2, 2, 1), 2)
  expect(pairs[0]!.value).toBeCloseTo(5, 9)
  expect(pairs[1]).toEqual({ value: 0, vector: new Float64Array(2) })
  expect(await largestEigenpairs(new Float64Array(0), 1)).toEqual([{ value: 0, vector: new Float64Array(0) }])
})
