/** @file Compiles one policy-gradient step of LatentSeek on the LM head into a graph. */

import {
  createTape,
  DATA_TYPES,
  encodeModel,
  int,
  type Model,
  type StoredTensor,
  string,
  type Tape,
  value,
} from '#onnx'
import { float32 } from '#tensor'
import type { DecoderDescription } from './describe-decoder.ts'
import {
  cast,
  createHeadModel,
  type EmittedLogits,
  emitElementwise,
  emitLatentGradient,
  emitProduct,
  emitProductGradient,
  emitWeight,
  headScope,
} from './emit-head.ts'
import type { Projection, QuantizedProjection } from './lm-head.ts'
import { divideRows, emitMatMulNBits, emitProductWithRows } from './quantized-weight.ts'
import { emitArgmax } from './sample-tokens.ts'

/**
 * Compiles one Adam ascent step on J(z) = (1/M) sum_m A_m sum_t log p(a_t^m | z_t), p = softmax(head(z) /
 * temperature). Positions are independent, so only the head is differentiated (LatentSeek, arXiv 2505.13308,
 * Eq. 6-7; the sampled form with advantages: LatentEvolve, arXiv 2509.24771, Eq. 6). In closed form, with x
 * the head's product and g the elementwise steps after it:
 *
 *   dJ/dz_t = (1 / (M temperature)) W^T diag(g'(x_t)) sum_m A_m (e_{a_t^m} - p_t)
 *
 * Adam is PyTorch's (maximize, no decay), in fp32 with bias correction; `m` and `v` are moments of dJ/dz.
 *
 * Inputs: `z`, `m`, `v` float32 [S, D], `actions` int64 [M, S], `advantages` float32 [M], and float32 []
 * each: `step` (updates done before), `lr`, `beta1`, `beta2`, `epsilon`, `temperature`.
 *
 * Outputs: `z_next`, `m_next`, `v_next` float32 [S, D], and for a dense head `tokens` int64 [S] = argmax
 * head(z_next). The tokens of a quantised head are read by `compileHeadLogits`, whose product is that of
 * generation: on the bundled model in int4, the dequantised W picks another token at 7 of 32,918 positions.
 *
 * Where the head is nearly certain of its token (1 - p below 1e-6), the gradient is mostly the rounding
 * error of 1 - p, as in PyTorch's fp32; Adam still makes steps of up to `lr` from it.
 *
 * Deviates: the published code differentiates by autograd in the model's bf16. Here latents, moments and
 * softmax are fp32; the two products with W run in the type of W in the model. With a quantised W both products
 * compute in fp32: the first as MatMulNBits with unrounded latents, the second with a few rows of the dense W at a
 * time (`emitProductWithRows`). Its session must pack constants and fold none.
 *
 * @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION when model and description do not match.
 */
export function compileHead(model: Model, description: DecoderDescription): Uint8Array {
  const { head, hiddenSize: D } = description
  const { initializers, rename } = headScope(model.graph, head)
  const tape = createTape([...initializers.keys(), ...HYPERPARAMETERS, ...STATE, 'actions', 'advantages'])
  const products = emitProducts(tape, head.projection, initializers, rename)
  const logitsOf = (z: string) => emitElementwise(tape, head, products.forward(z), rename)

  const before = logitsOf('z')
  const atProduct = emitProductGradient(tape, before, emitPolicyGradient(tape, before))
  emitAdamAscent(tape, products.backward(atProduct))
  const isDense = head.projection.kind === 'dense'
  if (isDense) tape.outputs(['tokens'], 'Identity', [emitArgmax(tape, logitsOf('z_next').logits)])

  const compiled = tape.graph({
    name: 'head_step',
    inputs: [
      ...STATE.map((name) => value(name, 'float32', ['S', D])),
      value('actions', 'int64', ['M', 'S']),
      value('advantages', 'float32', ['M']),
      ...HYPERPARAMETERS.map((name) => value(name, 'float32', [])),
    ],
    outputs: [
      ...STATE.map((name) => value(`${name}_next`, 'float32', ['S', D])),
      ...(isDense ? [value('tokens', 'int64', ['S'])] : []),
    ],
    initializers: products.initializers,
  })
  return encodeModel(createHeadModel(compiled, products.opset))
}

interface Products {
  readonly initializers: ReadonlyMap<string, StoredTensor>
  readonly opset: number | undefined
  /** Emits x = W z `[S, V]`, float32. */
  forward(z: string): string
  /** Emits `gradient` W `[S, D]`, float32. */
  backward(gradient: string): string
}

function emitProducts(
  tape: Tape,
  projection: Projection,
  initializers: ReadonlyMap<string, StoredTensor>,
  rename: (name: string) => string,
): Products {
  if (projection.kind === 'dense') {
    const weight = emitWeight(tape, projection, rename)
    return {
      initializers,
      opset: undefined,
      forward: (z) => emitProduct(tape, weight, z),
      backward: (gradient) => emitLatentGradient(tape, weight, gradient),
    }
  }
  const { weight, scales, zeroPoints } = projection
  const renamed: QuantizedProjection = {
    ...projection,
    weight: rename(weight),
    scales: rename(scales),
    zeroPoints: zeroPoints && rename(zeroPoints),
    accuracyLevel: null,
  }
  const rows = divideRows(renamed, initializers, rename(''))
  const float = cast(tape, renamed.scales, DATA_TYPES.float32)
  return {
    initializers: new Map([...initializers, ...rows.initializers]),
    opset: 21,
    forward: (z) => emitMatMulNBits(tape, { ...renamed, scales: float }, z, (name) => name),
    backward: (gradient) => emitProductWithRows(tape, renamed, rows, gradient),
  }
}

const STATE = ['z', 'm', 'v'] as const
const HYPERPARAMETERS = ['step', 'lr', 'beta1', 'beta2', 'epsilon', 'temperature'] as const

/** Emits dJ/d logits `[S, V]` = (sum_m A_m e_{a^m} - p sum_m A_m) / (M temperature). */
function emitPolicyGradient(tape: Tape, { logits }: EmittedLogits): string {
  const p = tape.op('Softmax', [tape.op('Div', [logits, 'temperature'])], { axis: int(-1) })
  // Advantages are scattered from [S, M] into [S, V], without one-hot rows for every rollout.
  const actions = tape.op('Transpose', ['actions'])
  const advantages = tape.op('Expand', ['advantages', tape.op('Shape', [actions])])
  const zeros = tape.op('ConstantOfShape', [tape.op('Shape', [logits])])
  const scatter = { axis: int(1), reduction: string('add') }
  const onActions = tape.op('ScatterElements', [zeros, actions, advantages], scatter)
  const total = tape.op('ReduceSum', ['advantages'], { keepdims: int(0) })
  const pull = tape.op('Sub', [onActions, tape.op('Mul', [p, total])])
  const rollouts = tape.op('Cast', [tape.op('Size', ['advantages'])], { to: int(DATA_TYPES.float32) })
  return tape.op('Div', [pull, tape.op('Mul', [rollouts, 'temperature'])])
}

/**
 * Emits one ascent step of Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1): `z_next`, `m_next`, `v_next`.
 */
function emitAdamAscent(tape: Tape, gradient: string): void {
  const one = tape.constant(float32(1))
  const t = tape.op('Add', ['step', one])
  const blend = (name: string, beta: string, old: string, fresh: string) => {
    const kept = tape.op('Mul', [beta, old])
    const added = tape.op('Mul', [tape.op('Sub', [one, beta]), fresh])
    return tape.outputs([name], 'Add', [kept, added])[0]!
  }
  const corrected = (moment: string, beta: string) =>
    tape.op('Div', [moment, tape.op('Sub', [one, tape.op('Pow', [beta, t])])])
  const m = corrected(blend('m_next', 'beta1', 'm', gradient), 'beta1')
  const v = corrected(blend('v_next', 'beta2', 'v', tape.op('Mul', [gradient, gradient])), 'beta2')
  const scale = tape.op('Add', [tape.op('Sqrt', [v]), 'epsilon'])
  tape.outputs(['z_next'], 'Add', ['z', tape.op('Mul', ['lr', tape.op('Div', [m, scale])])])
}
