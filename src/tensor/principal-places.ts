/** @file Principal component analysis of rows in two dimensions, for a plot. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { largestEigenpairs } from './eigenpairs.ts'

/** Rows that choose the axes: evenly spaced ones stand for more. */
const MAX_FITTED = 1_000
/** Multiplications between two turns of the event loop: a few milliseconds. */
const SLICE_WORK = 2e6

export interface Places {
  readonly places: readonly { readonly x: number; readonly y: number }[]
  /** Share of the variance along x and along y, in [0, 1]; 0 where there is none. */
  readonly explained: readonly [x: number, y: number]
}

/**
 * Returns the coordinates of rows `[D]` along their first two principal components: the eigenvectors of the covariance
 * `[D, D]` with the largest eigenvalues. Of more than 1,000 rows, evenly spaced ones choose the
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
  const [first, second] = await largestEigenpairs(covariance, 2)
  const xs = await coordinates(rows, mean, first!.vector)
  const ys = await coordinates(rows, mean, second!.vector)
  const share = (variance: number) => (total > 0 ? Math.min(1, variance / total) : 0)
  return {
    places: rows.map((_, index) => ({ x: xs[index]!, y: ys[index]! })),
    explained: [share(first!.value), share(second!.value)],
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
