/**
 * @file The networks that classify answers as right or wrong by their latent thoughts: the transformer of
 * LTO (arXiv 2509.26314, section 3) and the linear probe that it is compared with.
 *
 * Deviates: the paper's transformer is as wide as the language model (428 M parameters for Mistral-7B) and
 * reads raw states. Here states are standardised by layer and feature and projected to a chosen width, since
 * thousands of labels are too few for millions of weights.
 */

import { int, ints, type Tape } from '#onnx'
import { float32, int64, type Tensor } from '#tensor'
import { draftParameters, linear, norm, type Parameters, reshape } from '../training/layers.ts'
import type { Standardisation } from './standardise.ts'

export interface RewardArchitecture {
  readonly kind: 'transformer' | 'linear'
  /** L + 1: the largest number of states of a thought. */
  readonly layers: number
  /** D: width of a state. */
  readonly width: number
  /** H: width inside the transformer; a multiple of `heads`. */
  readonly hidden: number
  readonly heads: number
  readonly blocks: number
  readonly feedForward: number
}

/** Emits dropout on `[N, T, H]` in blocks and on `[N, H]` in the head; returns the name of the result. */
export type Dropout = (tape: Tape, values: string) => string

/** Creates the initial parameters, seeded. */
export function createParameters(architecture: RewardArchitecture, seed: number): Parameters {
  const { kind, layers, width, hidden, blocks, feedForward } = architecture
  const draft = draftParameters(seed)
  if (kind === 'linear') {
    draft.linear('probe', layers * width, 1)
    return draft.parameters
  }
  draft.linear('project', width, hidden)
  for (let block = 0; block < blocks; block++) {
    draft.norm(`blocks.${block}.attention_norm`, hidden)
    for (const part of ['query', 'key', 'value', 'output']) {
      draft.linear(`blocks.${block}.${part}`, hidden, hidden)
    }
    draft.norm(`blocks.${block}.mlp_norm`, hidden)
    draft.linear(`blocks.${block}.up`, hidden, feedForward)
    draft.linear(`blocks.${block}.down`, feedForward, hidden)
  }
  draft.norm('norm', hidden)
  draft.linear('head', hidden, hidden)
  draft.linear('logit', hidden, 1)
  return draft.parameters
}

/**
 * Records the network on a tape and returns the name of its logits, float32 [N]. Parameters are read by
 * their names, prefixed with `scope`.
 *
 * A state that is all zeros is padding: it is neither attended to nor averaged over. Thoughts of fewer
 * states (from depth-recurrent models that stop early) are padded with such states.
 *
 * @param thoughts name of a float32 [N, L + 1, D].
 */
export function emitLogits(
  tape: Tape,
  thoughts: string,
  architecture: RewardArchitecture,
  { mean, inverseDeviation }: Standardisation,
  { scope = '', dropout = (_tape, values) => values }: { scope?: string; dropout?: Dropout | undefined } = {},
): string {
  const { kind, layers, width, hidden } = architecture
  const magnitude = tape.op('ReduceSum', [tape.op('Abs', [thoughts]), axes(tape, 2)])
  const zero = tape.constant(float32(0))
  const one = tape.constant(float32(1))
  const isState = tape.op('Greater', [magnitude, zero]) // [N, T, 1]
  const mask = tape.op('Where', [isState, one, zero])
  const centred = tape.op('Sub', [thoughts, tape.constant(mean)])
  const standard = tape.op('Mul', [tape.op('Mul', [centred, tape.constant(inverseDeviation)]), mask])
  if (kind === 'linear') {
    return reshape(tape, linear(tape, reshape(tape, standard, [-1, layers * width]), `${scope}probe`), [-1])
  }

  const projected = linear(tape, reshape(tape, standard, [-1, width]), `${scope}project`)
  let states = tape.op('Add', [
    reshape(tape, projected, [-1, layers, hidden]),
    tape.constant(sinusoids(layers, hidden)),
  ])
  // [N, 1, 1, T]: 0 for a state to attend to, -1e9 for padding.
  const attentionMask = tape.op('Where', [isState, zero, tape.constant(float32(-1e9))])
  const bias = reshape(tape, attentionMask, [-1, 1, 1, layers])
  for (let block = 0; block < architecture.blocks; block++) {
    states = emitBlock(tape, states, `${scope}blocks.${block}`, architecture, bias, dropout)
  }
  const kept = tape.op('Mul', [norm(tape, states, `${scope}norm`), mask])
  const pooled = tape.op('Div', [
    tape.op('ReduceSum', [kept, axes(tape, 1)], { keepdims: int(0) }),
    tape.op('ReduceSum', [mask, axes(tape, 1)], { keepdims: int(0) }),
  ])
  const head = dropout(tape, tape.op('Gelu', [linear(tape, pooled, `${scope}head`)]))
  return reshape(tape, linear(tape, head, `${scope}logit`), [-1])
}

/** Emits a pre-norm encoder block on `[N, T, H]`. */
function emitBlock(
  tape: Tape,
  states: string,
  name: string,
  { layers, hidden, heads }: RewardArchitecture,
  bias: string,
  dropout: Dropout,
): string {
  const rows = (values: string) => reshape(tape, values, [-1, hidden])
  const residual = (base: string, change: string) =>
    tape.op('Add', [base, dropout(tape, reshape(tape, change, [-1, layers, hidden]))])

  const attended = rows(norm(tape, states, `${name}.attention_norm`))
  const split = (part: string, perm: readonly number[]) => {
    const values = linear(tape, attended, `${name}.${part}`)
    return tape.op('Transpose', [reshape(tape, values, [-1, layers, heads, hidden / heads])], {
      perm: ints(perm),
    })
  }
  const scale = tape.constant(float32(1 / Math.sqrt(hidden / heads)))
  const products = tape.op('MatMul', [split('query', [0, 2, 1, 3]), split('key', [0, 2, 3, 1])])
  const scores = tape.op('Add', [tape.op('Mul', [products, scale]), bias]) // [N, heads, T, T]
  const mixed = tape.op('MatMul', [
    tape.op('Softmax', [scores], { axis: int(-1) }),
    split('value', [0, 2, 1, 3]),
  ])
  const joined = rows(tape.op('Transpose', [mixed], { perm: ints([0, 2, 1, 3]) }))
  const middle = residual(states, linear(tape, joined, `${name}.output`))

  const raised = linear(tape, rows(norm(tape, middle, `${name}.mlp_norm`)), `${name}.up`)
  return residual(middle, linear(tape, tape.op('Gelu', [raised]), `${name}.down`))
}

function axes(tape: Tape, axis: number): string {
  return tape.constant(int64([axis]))
}

/** Sinusoidal position encodings of the layers, `[T, H]` (Vaswani et al., arXiv 1706.03762, section 3.5). */
function sinusoids(layers: number, hidden: number): Tensor<'float32'> {
  const values = Array.from({ length: layers * hidden }, (_, index) => {
    const feature = index % hidden
    const angle = Math.floor(index / hidden) / 10_000 ** ((feature - (feature % 2)) / hidden)
    return feature % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
  return float32(values, [layers, hidden])
}
