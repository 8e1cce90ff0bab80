/** @file Compiles the weaver to two ONNX graphs: one for training, one for serving. */

import { OPSET, type TrainableModel } from '#autodiff'
import { createModel, createTape, int, type Model, type Tape, value } from '#onnx'
import { float32, int64 } from '#tensor'
import { type Parameters, storeParameters } from '../training/layers.ts'
import type { LatentScale } from './weaver-examples.ts'
import { emitShift, SCALE, type WeaverArchitecture } from './weaver-network.ts'

/** Lower bound on the length of a shift before it is divided by. */
const MIN_SHIFT_LENGTH = 1e-12

/**
 * Compiles the graph that training differentiates, for batches of `batch` examples out of a data set that
 * stays with it.
 *
 * Inputs: `embedding` [N, D], `z_base` and `z_star` [N, S, D], `mask` [N, S] and `weights` [N], float32 (the
 * data set); `rows` int64 [B], fed for every step. Output: `loss` float32 [], the masked mean of
 * (W(e_c, z_base) - z*)^2 by weight, divided by `unit` squared.
 */
export function compileWeaverTraining(
  architecture: WeaverArchitecture,
  scale: LatentScale,
  parameters: Parameters,
  { examples, batch, unit }: { examples: number; batch: number; unit: number },
): TrainableModel {
  const { latents, width } = architecture
  const initializers = initializersOf(parameters, scale)
  const dataSet = ['embedding', 'z_base', 'z_star', 'mask', 'weights']
  const tape = createTape([...initializers.keys(), ...dataSet, 'rows'])
  const batchOf = (name: string) => tape.op('Gather', [name, 'rows'])
  const zBase = batchOf('z_base')
  const mask = perFeature(tape, batchOf('mask'))
  const shift = emitShift(tape, { embedding: batchOf('embedding'), zBase, mask }, architecture)
  const target = tape.op('Sub', [batchOf('z_star'), zBase])
  const error = tape.op('Mul', [tape.op('Sub', [shift, target]), tape.constant(float32(1 / unit))])
  const weights = tape.op('Unsqueeze', [batchOf('weights'), tape.constant(int64([1, 2]))])
  const weightedMask = tape.op('Mul', [mask, weights]) // [B, S, 1]
  const all = { keepdims: int(0) }
  const squares = tape.op('ReduceSum', [tape.op('Mul', [tape.op('Mul', [error, error]), weightedMask])], all)
  const count = tape.op('Mul', [tape.op('ReduceSum', [weightedMask], all), tape.constant(float32(width))])
  tape.outputs(['loss'], 'Div', [squares, count])
  const graph = tape.graph({
    name: 'weaver_training',
    inputs: [
      value('embedding', 'float32', [examples, width]),
      value('z_base', 'float32', [examples, latents, width]),
      value('z_star', 'float32', [examples, latents, width]),
      value('mask', 'float32', [examples, latents]),
      value('weights', 'float32', [examples]),
      value('rows', 'int64', [batch]),
    ],
    outputs: [value('loss', 'float32', [])],
    initializers,
  })
  return { model: createModel(graph, { '': OPSET }), parameters: [...parameters.keys()], loss: 'loss' }
}

/**
 * Compiles the graph for serving. Inputs, float32: `embedding` [N, D], `z_base` [N, S, D] and `mask` [N, S].
 * Output: `z` [N, S, D], z'_base, zero where masked. No position is moved further than `maxShift` times the
 * norm of its z_base for any parameters.
 */
export function compileWeaver(
  architecture: WeaverArchitecture,
  scale: LatentScale,
  parameters: Parameters,
  { maxShift }: { readonly maxShift: number },
): Model {
  const { latents, width } = architecture
  const initializers = initializersOf(parameters, scale)
  const tape = createTape([...initializers.keys(), 'embedding', 'z_base', 'mask'])
  const mask = perFeature(tape, 'mask')
  const zBase = tape.op('Mul', ['z_base', mask])
  const shift = emitShift(tape, { embedding: 'embedding', zBase, mask }, architecture)
  const lastAxis = tape.constant(int64([2]))
  const length = (values: string) =>
    tape.op('Sqrt', [tape.op('ReduceSum', [tape.op('Mul', [values, values]), lastAxis])]) // [N, S, 1]
  const limit = tape.op('Mul', [length(zBase), tape.constant(float32(maxShift))])
  const safeLength = tape.op('Max', [length(shift), tape.constant(float32(MIN_SHIFT_LENGTH))])
  const share = tape.op('Min', [tape.op('Div', [limit, safeLength]), tape.constant(float32(1))])
  const moved = tape.op('Add', [zBase, tape.op('Mul', [shift, share])])
  tape.outputs(['z'], 'Mul', [moved, mask])
  const graph = tape.graph({
    name: 'weaver',
    inputs: [
      value('embedding', 'float32', ['N', width]),
      value('z_base', 'float32', ['N', latents, width]),
      value('mask', 'float32', ['N', latents]),
    ],
    outputs: [value('z', 'float32', ['N', latents, width])],
    initializers,
  })
  return createModel(graph, { '': OPSET })
}

/** Returns parameters and scale as initializers. */
function initializersOf(parameters: Parameters, { mean, deviation }: LatentScale) {
  return storeParameters(new Map([...parameters, [SCALE.mean, mean], [SCALE.deviation, deviation]]))
}

/** Emits a reshape of a mask from `[N, S]` to `[N, S, 1]`. */
function perFeature(tape: Tape, mask: string): string {
  return tape.op('Unsqueeze', [mask, tape.constant(int64([2]))])
}
