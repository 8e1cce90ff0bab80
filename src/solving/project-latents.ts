/** @file Projects the path of the latents onto two dimensions, for a plot. */

/** Upper bound on multiplications; beyond it, only every k-th coordinate is used. */
const MAX_WORK = 5e7
const ROUNDS = 100

/**
 * Projects points of one dimensionality to their first two principal components, by power iteration on the Gram matrix.
 * Exact up to convergence, except for very long or very wide paths, where evenly spaced coordinates stand for all.
 * Distances are in units of the latents; the sign of an axis is chosen so that its largest coordinate is positive.
 */
export function projectLatents(
  points: readonly Float32Array[],
): { readonly x: number; readonly y: number }[] {
  const gram = gramMatrix(points)
  const x = principalCoordinates(gram)
  const y = principalCoordinates(deflated(gram, x))
  return points.map((_, index) => ({ x: x[index]!, y: y[index]! }))
}

/** Inner products of the centred points, `[n, n]`. */
function gramMatrix(points: readonly Float32Array[]): number[][] {
  const width = points[0]?.length ?? 0
  const stride = Math.max(1, Math.ceil((width * points.length ** 2) / MAX_WORK))
  const gram = points.map(() => points.map(() => 0))
  for (let coordinate = 0; coordinate < width; coordinate += stride) {
    const column = points.map((point) => point[coordinate]!)
    const mean = column.reduce((sum, value) => sum + value, 0) / column.length
    column.forEach((a, i) => {
      for (let j = 0; j <= i; j++) gram[i]![j]! += stride * (a - mean) * (column[j]! - mean)
    })
  }
  return gram.map((row, i) => row.map((_, j) => gram[Math.max(i, j)]![Math.min(i, j)]!))
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
