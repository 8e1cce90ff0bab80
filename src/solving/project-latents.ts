/** @file Projects the path of the latents onto two dimensions, for a plot. */

import { createYielding } from '#algorithms'

/** Upper bound on multiplications; beyond it, only every k-th coordinate is used. */
const MAX_WORK = 5e7
const ROUNDS = 100
/** Coordinates that are centred between two looks at the clock. */
const COORDINATES_PER_SLICE = 1024

/**
 * Projects points of one dimensionality to their first two principal components, by power iteration on the Gram matrix.
 * Exact up to convergence, except for very long or very wide paths, where evenly spaced coordinates stand for all.
 * Yields to the event loop. Distances are in units of the latents; the sign of an axis is chosen so that its largest coordinate is
 * positive.
 */
export async function projectLatents(
  points: readonly Float32Array[],
): Promise<{ readonly x: number; readonly y: number }[]> {
  const gram = await gramMatrix(points)
  const x = principalCoordinates(gram)
  const y = principalCoordinates(deflated(gram, x))
  return points.map((_, index) => ({ x: x[index]!, y: y[index]! }))
}

/** Inner products of the centred points, `[n, n]`. */
async function gramMatrix(points: readonly Float32Array[]): Promise<number[][]> {
  const pause = createYielding()
  const width = points[0]?.length ?? 0
  const stride = Math.max(1, Math.ceil((width * points.length ** 2) / MAX_WORK))
  const places = Math.ceil(width / stride)
  const centred = points.map(() => new Float64Array(places))
  for (let place = 0; place < places; place++) {
    if (place % COORDINATES_PER_SLICE === 0) await pause()
    let sum = 0
    for (const point of points) sum += point[place * stride]!
    const mean = sum / points.length
    for (let i = 0; i < points.length; i++) centred[i]![place] = points[i]![place * stride]! - mean
  }
  const gram = points.map(() => points.map(() => 0))
  for (const [i, a] of centred.entries()) {
    for (const [j, b] of centred.slice(0, i + 1).entries()) {
      await pause()
      let sum = 0
      for (let place = 0; place < a.length; place++) sum += stride * a[place]! * b[place]!
      gram[i]![j] = sum
      gram[j]![i] = sum
    }
  }
  return gram
}

/** Coordinates along the first component: its eigenvector times the root of its eigenvalue; zeros when there is none. */
function principalCoordinates(gram: readonly (readonly number[])[]): number[] {
  const diagonal = gram.map((row, index) => row[index]!)
  const scale = Math.max(0, ...diagonal)
  if (!(scale > 1e-12)) return diagonal.map(() => 0)
  // The row of the farthest point is never orthogonal to the first component.
  let vector = [...gram[diagonal.indexOf(scale)]!]
  let eigenvalue = 0
  for (let round = 0; round < ROUNDS; round++) {
    const length = Math.hypot(...vector)
    if (length === 0) break
    const unit = vector.map((value) => value / length)
    vector = gram.map((row) => row.reduce((sum, value, index) => sum + value * unit[index]!, 0))
    eigenvalue = Math.hypot(...vector)
  }
  const length = Math.hypot(...vector)
  if (length === 0) return diagonal.map(() => 0)
  const largest = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a))
  const factor = (Math.sign(largest) * Math.sqrt(eigenvalue)) / length
  return vector.map((value) => value * factor)
}

function deflated(gram: readonly (readonly number[])[], coordinates: readonly number[]): number[][] {
  return gram.map((row, i) => row.map((value, j) => value - coordinates[i]! * coordinates[j]!))
}
