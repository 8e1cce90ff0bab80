/** @file Stacks thoughts into one tensor, and computes the constants that standardise them. */

import { ServiceError } from '#errors'
import { createTensor, type Tensor } from '#tensor'
import { createYielding } from '../training/yielding.ts'

/** Rows of states that a network reads, `[layers, width]`. */
export interface StateRows {
  readonly data: Float32Array
  readonly layers: number
  readonly width: number
}

/** Lower bound on the deviation to divide by, as a share of the root mean square of the feature's layer. */
const DEVIATION_FLOOR = 1e-3

/**
 * Mean m and inverse deviation 1 / s of every layer and feature, `[L + 1, D]` each: x becomes (x - m) / s.
 */
export interface Standardisation {
  readonly mean: Tensor<'float32'>
  readonly inverseDeviation: Tensor<'float32'>
}

/**
 * Stacks thoughts into one tensor `[N, layers, width]`. Thoughts of fewer states are padded with zeros,
 * which the network masks.
 *
 * @throws ServiceError SHAPE_MISMATCH for a thought without states, with more than `layers`, or of another
 *   width.
 */
export function stackThoughts(
  thoughts: readonly StateRows[],
  layers: number,
  width: number,
): Tensor<'float32'> {
  const data = new Float32Array(thoughts.length * layers * width)
  for (const [row, thought] of thoughts.entries()) {
    if (thought.layers < 1 || thought.layers > layers || thought.width !== width) {
      const got = `[${thought.layers}, ${thought.width}]`
      throw new ServiceError('SHAPE_MISMATCH', `thoughts: expected [1..${layers}, ${width}], got ${got}`)
    }
    data.set(thought.data, row * layers * width)
  }
  return createTensor('float32', [thoughts.length, layers, width], data)
}

/**
 * Computes mean and deviation of every layer and feature over the thoughts that have the layer. A deviation
 * is at least a thousandth of its layer's root mean square, so that a nearly constant feature is not
 * amplified. Yields to the event loop.
 */
export async function standardisation(
  thoughts: readonly StateRows[],
  layers: number,
  width: number,
): Promise<Standardisation> {
  const pause = createYielding()
  const mean = new Float32Array(layers * width)
  const inverseDeviation = new Float32Array(layers * width)
  for (let layer = 0; layer < layers; layer++) {
    const present = thoughts.filter((thought) => thought.layers > layer)
    const sums = new Float64Array(width)
    const squares = new Float64Array(width)
    for (const { data } of present) {
      await pause()
      for (let feature = 0; feature < width; feature++) {
        const value = data[layer * width + feature]!
        sums[feature]! += value
        squares[feature]! += value * value
      }
    }
    const count = Math.max(1, present.length)
    const rootMeanSquare = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / (count * width))
    for (let feature = 0; feature < width; feature++) {
      const average = sums[feature]! / count
      const variance = Math.max(0, squares[feature]! / count - average * average)
      const deviation = Math.max(Math.sqrt(variance), DEVIATION_FLOOR * rootMeanSquare)
      mean[layer * width + feature] = average
      // A deviation of 0 means a layer of zeros: it stays 0.
      inverseDeviation[layer * width + feature] = deviation === 0 ? 0 : 1 / deviation
    }
  }
  return {
    mean: createTensor('float32', [layers, width], mean),
    inverseDeviation: createTensor('float32', [layers, width], inverseDeviation),
  }
}
