/** @file Projects the path of the latents onto two dimensions, for a plot. */

import { createYielding } from '#algorithms'
import { type Eigenpair, largestEigenpairs } from '#tensor'

/** Upper bound on multiplications; beyond it, only every k-th coordinate is used. */
const MAX_WORK = 5e7
/** Coordinates that are centred between two looks at the clock. */
const COORDINATES_PER_SLICE = 1024

/**
 * Projects points of one dimensionality to their first two principal components, by the eigenvectors of the Gram matrix.
 * Exact up to convergence, except for very long or very wide paths, where evenly spaced coordinates stand for all.
 * Yields to the event loop. Distances are in units of the latents; the sign of an axis is chosen so that its largest coordinate is
 * positive.
 */
export async function projectLatents(
  points: readonly Float32Array[],
): Promise<{ readonly x: number; readonly y: number }[]> {
  const gram = await gramMatrix(points)
  const [xs, ys] = (await largestEigenpairs(gram, 2)).map(coordinatesOf)
  return points.map((_, index) => ({ x: xs![index]!, y: ys![index]! }))
}

/** Inner products of the centred points, `[n, n]`, row-major. */
async function gramMatrix(points: readonly Float32Array[]): Promise<Float64Array> {
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
  const gram = new Float64Array(points.length ** 2)
  for (const [i, a] of centred.entries()) {
    for (const [j, b] of centred.slice(0, i + 1).entries()) {
      await pause()
      let sum = 0
      for (let place = 0; place < a.length; place++) sum += stride * a[place]! * b[place]!
      gram[i * points.length + j] = sum
      gram[j * points.length + i] = sum
    }
  }
  return gram
}

/** Coordinates along a component: its eigenvector times the root of its eigenvalue; zeros when there is none. */
function coordinatesOf({ value, vector }: Eigenpair): Float64Array {
  const largest = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0)
  const factor = Math.sign(largest) * Math.sqrt(value)
  return vector.map((coordinate) => coordinate * factor)
}
