/**
 * @file The form `gated`: two linear maps of the states of every token, reward and gate; the score of an answer is
 * sum(gate x reward) / sum(gate), gate = sigmoid (SWIFT, arXiv 2505.12225).
 *
 * Serving reads no state of a token: the engine is given the maps and sums inside the generation graph.
 *
 * Deviates: SWIFT reads all layers of all tokens. Here the states are those of the scored layers; training takes
 * positions that are spread evenly over long answers, serving takes all.
 */

import { OPSET } from '#autodiff'
import { createModel, createTape, decodeModel, encodeModel, int, loadTensor, value } from '#onnx'
import type { GatedSums, LatentThought, TokenMaps } from '#ports'
import { createTensor, float32, int64 } from '#tensor'
import { linear, type Parameters, reshape, storeParameters } from '../../training/layers.ts'
import type { Calibration } from '../calibrate.ts'
import { type Standardisation, standardisation } from '../standardise.ts'
import type { Network, RewardForm } from './reward-form.ts'

export const GATED: RewardForm = {
  networks: ['gated'],
  inputOf({ tokens, last }) {
    if (!tokens || !last) return null
    return { data: tokens, layers: tokens.length / last.length, width: last.length }
  },
  /** Constants `[1, K*D]`: positions of an answer have no order, so all share them. */
  standardise: (inputs, _layers, width) =>
    standardisation(
      inputs.flatMap(({ data, layers }) =>
        Array.from({ length: layers }, (_, row) => ({
          data: data.subarray(row * width, (row + 1) * width),
          layers: 1,
          width,
        })),
      ),
      1,
      width,
    ),
}

/** Keeps the ratio finite when every gate is shut. */
const MIN_GATE = 1e-6

export const GATES: Network = {
  smallLr: 1e-2,
  draft(draft, { width }) {
    draft.linear('reward', width, 1)
    // All gates are half open at first: the plain mean over tokens.
    draft.zeroLinear('gate', width, 1)
  },
  emit(tape, { standard, mask, scope }, { layers, width }) {
    const rows = reshape(tape, standard, [-1, width])
    const map = (name: string) => reshape(tape, linear(tape, rows, `${scope}${name}`), [-1, layers])
    const gate = tape.op('Mul', [tape.op('Sigmoid', [map('gate')]), reshape(tape, mask, [-1, layers])])
    const axis = tape.constant(int64([1]))
    const sum = (values: string) => tape.op('ReduceSum', [values, axis], { keepdims: int(0) })
    const gates = tape.op('Add', [sum(gate), tape.constant(float32(MIN_GATE))])
    return tape.op('Div', [sum(tape.op('Mul', [gate, map('reward')])), gates])
  },
  masks: () => [],
}

/**
 * Compiles the artifact: maps of raw states, with the standardisation inside, and the calibration. Input `thoughts`
 * float32 [N, T, K*D], states of tokens, rows of zeros are padding; outputs `logit` and `probability`, float32 [N].
 */
export function encodeGatedModel(
  parameters: Parameters,
  { mean, inverseDeviation }: Standardisation,
  { scale, bias }: Calibration,
): Uint8Array {
  const width = mean.data.length
  const weights = new Float32Array(width * 2)
  const biases = new Float32Array(2)
  for (const [column, name] of ['reward', 'gate'].entries()) {
    const trained = parameters.get(`${name}.weight`)!.data
    let shift = 0
    for (let i = 0; i < width; i++) {
      const weight = trained[i]! * inverseDeviation.data[i]!
      weights[2 * i + column] = weight
      shift += weight * mean.data[i]!
    }
    biases[column] = parameters.get(`${name}.bias`)!.data[0]! - shift
  }
  const stored: Parameters = new Map([
    ['token_maps', createTensor('float32', [width, 2], weights)],
    ['token_biases', createTensor('float32', [2], biases)],
    ['calibration', float32([scale, bias])],
  ])
  const tape = createTape([...stored.keys(), 'thoughts'])
  const pick = (values: string, index: number, axis: number) =>
    tape.op('Gather', [values, tape.constant(int64(index))], { axis: int(axis) })
  const magnitude = tape.op('ReduceSum', [tape.op('Abs', ['thoughts']), tape.constant(int64([2]))], {
    keepdims: int(0),
  })
  const zero = tape.constant(float32(0))
  const mask = tape.op('Where', [tape.op('Greater', [magnitude, zero]), tape.constant(float32(1)), zero])
  const pairs = tape.op('Add', [tape.op('MatMul', ['thoughts', 'token_maps']), 'token_biases']) // [N, T, 2]
  const gate = tape.op('Mul', [tape.op('Sigmoid', [pick(pairs, 1, 2)]), mask])
  const sum = (values: string) =>
    tape.op('ReduceSum', [values, tape.constant(int64([1]))], { keepdims: int(0) })
  tape.outputs(['logit'], 'Div', [
    sum(tape.op('Mul', [gate, pick(pairs, 0, 2)])),
    tape.op('Add', [sum(gate), tape.constant(float32(MIN_GATE))]),
  ])
  const scaled = tape.op('Mul', ['logit', pick('calibration', 0, 0)])
  tape.outputs(['probability'], 'Sigmoid', [tape.op('Add', [scaled, pick('calibration', 1, 0)])])
  const graph = tape.graph({
    name: 'gated_reward_model',
    inputs: [value('thoughts', 'float32', ['N', 'T', width])],
    outputs: [value('logit', 'float32', ['N']), value('probability', 'float32', ['N'])],
    initializers: storeParameters(stored),
  })
  return encodeModel(createModel(graph, { '': OPSET }))
}

/** Gated model as serving uses it. */
export interface GatedModel {
  readonly maps: TokenMaps
  /** Returns the calibrated P(correct) of the sums of an answer. */
  probability(sums: GatedSums): number
}

/**
 * Reads maps and calibration out of an artifact.
 *
 * @param width K*D
 * @returns null when the bytes hold no maps of this width
 * @throws ServiceError ONNX_INVALID when the bytes are no ONNX file
 */
export function readGatedModel(bytes: Uint8Array, version: string, width: number): GatedModel | null {
  const { initializers } = decodeModel(bytes).graph
  const read = (name: string, count: number) => {
    const stored = initializers.get(name)
    const data = stored && loadTensor(stored).data
    return data instanceof Float32Array && data.length === count ? data : null
  }
  const [maps, biases, calibration] = [
    read('token_maps', 2 * width),
    read('token_biases', 2),
    read('calibration', 2),
  ]
  if (!maps || !biases || !calibration) return null
  const [scale, bias] = calibration as unknown as [number, number]
  return {
    maps: {
      version,
      weights: Float32Array.from(
        { length: 2 * width },
        (_, i) => maps[2 * (i % width) + Math.floor(i / width)]!,
      ),
      biases: [biases[0]!, biases[1]!],
    },
    probability: ({ reward, gate }) => 1 / (1 + Math.exp(-(scale * (reward / (gate + MIN_GATE)) + bias))),
  }
}

/** Sums of one thought whose `tokens` are all its positions, as the generation graph computes them. */
export function sumsOf(
  { weights, biases }: TokenMaps,
  tokens: NonNullable<LatentThought['tokens']>,
): GatedSums {
  const width = weights.length / 2
  const sums = { reward: 0, gate: 0 }
  for (let start = 0; start < tokens.length; start += width) {
    let [reward, logit] = biases
    for (let i = 0; i < width; i++) {
      reward += weights[i]! * tokens[start + i]!
      logit += weights[width + i]! * tokens[start + i]!
    }
    const gate = 1 / (1 + Math.exp(-logit))
    sums.reward += gate * reward
    sums.gate += gate
  }
  return sums
}
