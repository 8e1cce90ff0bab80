/** @file The largest eigenvalues of a symmetric matrix, for principal component analysis. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { norm } from './vector.ts'

/** Multiplications between two turns of the event loop: a few milliseconds. */
const SLICE_WORK = 2e6
/** More than a plot needs; each costs a multiplication for each element of the matrix. */
const ROUNDS = 100
/** Largest diagonal element, and length of a product, at or below which nothing but rounding is left. */
const NOTHING = 1e-12

export interface Eigenpair {
  readonly value: number
  /** Unit vector `[n]`; zeros when nothing is left. */
  readonly vector: Float64Array
}

/**
 * Returns the eigenpairs of the `count` largest eigenvalues, largest first, by power iteration with deflation (Hotelling).
 * Works in slices of the event loop.
 *
 * @param matrix symmetric and positive semidefinite, `[n, n]`, row-major
 */
export async function largestEigenpairs(matrix: Float64Array, count: number): Promise<Eigenpair[]> {
  const size = Math.sqrt(matrix.length)
  const pairs: Eigenpair[] = []
  for (let rest = matrix; pairs.length < count; ) {
    const pair = await largestEigenpair(rest, size)
    pairs.push(pair)
    rest = deflated(rest, pair)
  }
  return pairs
}

/** Iterates from the row of the largest diagonal element, which is never orthogonal to the first eigenvector. */
async function largestEigenpair(matrix: Float64Array, size: number): Promise<Eigenpair> {
  const none = { value: 0, vector: new Float64Array(size) }
  let widest = 0
  for (let i = 1; i < size; i++) if (matrix[i * size + i]! > matrix[widest * size + widest]!) widest = i
  if (size === 0 || !(matrix[widest * size + widest]! > NOTHING)) return none
  const vector = matrix.slice(widest * size, (widest + 1) * size)
  const sliceRounds = Math.max(1, Math.floor(SLICE_WORK / size ** 2))
  for (let round = 0; ; round++) {
    if (round % sliceRounds === 0) await nextTurn()
    const value = norm(vector)
    if (!(value > NOTHING)) return none
    for (let i = 0; i < size; i++) vector[i]! /= value
    if (round === ROUNDS) return { value, vector }
    vector.set(product(matrix, vector))
  }
}

function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const size = vector.length
  const result = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    let sum = 0
    for (let j = 0; j < size; j++) sum += matrix[i * size + j]! * vector[j]!
    result[i] = sum
  }
  return result
}

function deflated(matrix: Float64Array, { value, vector }: Eigenpair): Float64Array {
  const size = vector.length
  const rest = matrix.slice()
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) rest[i * size + j]! -= value * vector[i]! * vector[j]!
  return rest
}
