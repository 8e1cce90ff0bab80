/** @file Training examples of a weaver: stacked into tensors, targets clipped, features scaled. */

import type { Latents, WeaverRow } from '#ports'
import { createTensor, float32, norm, type Tensor } from '#tensor'
import type { Part } from '../training/training-result.ts'

/** Example from one admitted episode. */
export interface WeaverExample extends WeaverRow {
  /** Text of the question. */
  readonly question: string
  /** Cluster of near-duplicates that the question belongs to. */
  readonly cluster: string
  /** Part of the split; the same for all examples of a cluster. */
  readonly part: Part
  /** Latents of the returned answer, `[S, D]`. */
  readonly zStar: Latents
  /** Weight in training, above 0; 1 unless given. */
  readonly weight?: number
}

/** Mean and deviation of every feature of z_base, `[D]` each; the deviations are above 0. */
export interface LatentScale {
  readonly mean: Tensor<'float32'>
  readonly deviation: Tensor<'float32'>
}

/** `N` rows at the first `S` positions; shorter rows are masked. */
export interface WeaverTensors {
  /** [N, D] */
  readonly embedding: Tensor<'float32'>
  /** [N, S, D] */
  readonly zBase: Tensor<'float32'>
  /** [N, S]: 1 where there is a latent. */
  readonly mask: Tensor<'float32'>
}

/** Stacks the first `latents` positions of every row; later positions are ignored. */
export function stackRows(rows: readonly WeaverRow[], latents: number, width: number): WeaverTensors {
  const mask = new Float32Array(rows.length * latents)
  const embedding = new Float32Array(rows.length * width)
  for (const [index, row] of rows.entries()) {
    mask.fill(1, index * latents, index * latents + Math.min(latents, row.zBase.length))
    embedding.set(row.embedding, index * width)
  }
  return {
    embedding: createTensor('float32', [rows.length, width], embedding),
    zBase: stackLatents(
      rows.map(({ zBase }) => zBase),
      latents,
      width,
    ),
    mask: createTensor('float32', [rows.length, latents], mask),
  }
}

/** Stacks latents to [N, S, D], zero where a row has no such position. */
export function stackLatents(rows: readonly Latents[], latents: number, width: number): Tensor<'float32'> {
  const data = new Float32Array(rows.length * latents * width)
  for (const [index, row] of rows.entries()) {
    data.set(row.data.subarray(0, latents * width), index * latents * width)
  }
  return createTensor('float32', [rows.length, latents, width], data)
}

/**
 * Returns the training target: z* at the positions that z_base has as well. No position is further from its
 * z_base than `maxShift` times the norm of that, which limits the effect of a poisoned episode.
 */
export function clippedTarget({ zBase, zStar }: WeaverExample, maxShift: number): Latents {
  const { width } = zBase
  const length = Math.min(zBase.length, zStar.length)
  const data = zBase.data.slice()
  for (let position = 0; position < length; position++) {
    const from = zBase.data.subarray(position * width, (position + 1) * width)
    const shift = zStar.data
      .subarray(position * width, (position + 1) * width)
      .map((value, feature) => value - from[feature]!)
    const distance = norm(shift)
    const limit = maxShift * norm(from)
    const scale = distance > limit ? limit / distance : 1
    shift.forEach((value, feature) => {
      data[position * width + feature]! += scale * value
    })
  }
  return { ...zBase, data }
}

/** Lower bound on a deviation, as a share of the root mean square over all features. */
const DEVIATION_FLOOR = 1e-3

/**
 * Computes mean and deviation over all positions of all rows. The deviation has a lower bound, so that a
 * nearly constant feature is not amplified.
 */
export function latentScale(rows: readonly WeaverRow[], latents: number, width: number): LatentScale {
  const sums = new Float64Array(width)
  const squares = new Float64Array(width)
  let count = 0
  for (const { zBase } of rows) {
    const length = Math.min(latents, zBase.length)
    count += length
    for (let index = 0; index < length * width; index++) {
      const value = zBase.data[index]!
      sums[index % width]! += value
      squares[index % width]! += value * value
    }
  }
  const rootMeanSquare = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / (count * width))
  const mean = sums.map((sum) => sum / count)
  const deviation = squares.map((square, feature) =>
    Math.max(Math.sqrt(Math.max(0, square / count - mean[feature]! ** 2)), DEVIATION_FLOOR * rootMeanSquare),
  )
  return { mean: float32(mean), deviation: float32(deviation) }
}
