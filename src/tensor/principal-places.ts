/** @file Principal component analysis of rows in two dimensions, for a plot. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { norm } from './vector.ts'

/** Rows that choose the axes: evenly spaced ones stand for more. */
const MAX_FITTED = 1_000
/** Multiplications between two turns of the event loop: a few milliseconds. */
const SLICE_WORK = 2e6
/** More than a plot needs; each round costs a multiplication for each element of the covariance. */
const ROUNDS = 100

export interface Places {
  readonly places: readonly { readonly x: number; readonly y: number }[]
  /** Share of the variance along x and along y, in [0, 1]; 0 where there is none. */
  readonly explained: readonly [x: number, y: number]
}

/**
 * Returns the coordinates of rows `[D]` along their first two principal components: the eigenvectors of the covariance
 * `[D, D]` with the largest eigenvalues, by power iteration. Of more than 1,000 rows, evenly spaced ones choose the
 * axes. The sign of an axis is chosen so that its largest coordinate is positive. Works in slices of the event loop.
 *
 * @param rows all of one width
 */
export async function principalPlaces(rows: readonly Float32Array[]): Promise<Places> {
  const stride = Math.max(1, Math.ceil(rows.length / MAX_FITTED))
  const fitted = rows.filter((_, index) => index % stride === 0)
  const mean = meanOf(fitted)
  const covariance = await covarianceOf(fitted, mean)
  const width = mean.length
  let total = 0
  for (let i = 0; i < width; i++) total += covariance[i * width + i]!
  const first = await principalAxis(covariance, width)
  const second = await principalAxis(deflated(covariance, first), width)
  const xs = await coordinates(rows, mean, first.axis)
  const ys = await coordinates(rows, mean, second.axis)
  const share = (variance: number) => (total > 0 ? Math.min(1, variance / total) : 0)
  return {
    places: rows.map((_, index) => ({ x: xs[index]!, y: ys[index]! })),
    explained: [share(first.variance), share(second.variance)],
  }
}

function meanOf(rows: readonly Float32Array[]): Float64Array {
  const mean = new Float64Array(rows[0]?.length ?? 0)
  for (const row of rows) for (let at = 0; at < mean.length; at++) mean[at]! += row[at]! / rows.length
  return mean
}

/** Returns the covariance, `[D, D]`, row-major. */
async function covarianceOf(rows: readonly Float32Array[], mean: Float64Array): Promise<Float64Array> {
  const width = mean.length
  const covariance = new Float64Array(width * width)
  const centred = new Float64Array(width)
  const sliceRows = Math.max(1, Math.floor((2 * SLICE_WORK) / Math.max(1, width ** 2)))
  for (const [index, row] of rows.entries()) {
    if (index % sliceRows === 0) await nextTurn()
    for (let i = 0; i < width; i++) centred[i] = row[i]! - mean[i]!
    for (let i = 0; i < width; i++) {
      const value = centred[i]! / rows.length
      for (let j = 0; j <= i; j++) covariance[i * width + j]! += value * centred[j]!
    }
  }
  for (let i = 0; i < width; i++)
    for (let j = 0; j < i; j++) covariance[j * width + i] = covariance[i * width + j]!
  return covariance
}

interface PrincipalAxis {
  /** Unit vector `[D]`; zeros when there is no variance left. */
  readonly axis: Float64Array
  readonly variance: number
}

/** Returns the eigenvector of the largest eigenvalue, by power iteration from the column of the largest variance. */
async function principalAxis(covariance: Float64Array, width: number): Promise<PrincipalAxis> {
  let widest = 0
  for (let i = 1; i < width; i++)
    if (covariance[i * width + i]! > covariance[widest * width + widest]!) widest = i
  const axis = covariance.slice(widest * width, (widest + 1) * width)
  let variance = 0
  const sliceRounds = Math.max(1, Math.floor(SLICE_WORK / Math.max(1, width ** 2)))
  for (let round = 0; round <= ROUNDS; round++) {
    if (round % sliceRounds === 0) await nextTurn()
    variance = norm(axis)
    if (!(variance > 1e-12)) return { axis: new Float64Array(width), variance: 0 }
    for (let i = 0; i < width; i++) axis[i]! /= variance
    if (round < ROUNDS) axis.set(product(covariance, axis))
  }
  return { axis, variance }
}

function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const width = vector.length
  const result = new Float64Array(width)
  for (let i = 0; i < width; i++) {
    let sum = 0
    for (let j = 0; j < width; j++) sum += matrix[i * width + j]! * vector[j]!
    result[i] = sum
  }
  return result
}

function deflated(covariance: Float64Array, { axis, variance }: PrincipalAxis): Float64Array {
  const width = axis.length
  const rest = covariance.slice()
  for (let i = 0; i < width; i++)
    for (let j = 0; j < width; j++) rest[i * width + j]! -= variance * axis[i]! * axis[j]!
  return rest
}

async function coordinates(
  rows: readonly Float32Array[],
  mean: Float64Array,
  axis: Float64Array,
): Promise<Float64Array> {
  const along = new Float64Array(rows.length)
  const sliceRows = Math.max(1, Math.floor(SLICE_WORK / Math.max(1, axis.length)))
  let largest = 0
  for (const [index, row] of rows.entries()) {
    if (index % sliceRows === 0) await nextTurn()
    let sum = 0
    for (let at = 0; at < axis.length; at++) sum += (row[at]! - mean[at]!) * axis[at]!
    along[index] = sum
    if (Math.abs(sum) > Math.abs(largest)) largest = sum
  }
  return largest < 0 ? along.map((value) => -value) : along
}
