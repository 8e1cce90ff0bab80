/**
 * @file The form `mean`: the averaged latent thought, read by a linear probe or by the transformer of LTO (arXiv
 * 2509.26314, section 3).
 *
 * Deviates: the paper's transformer is as wide as the language model (428 M parameters for Mistral-7B) and
 * reads raw states. Here states are standardised by layer and feature and projected to a chosen width, since
 * thousands of labels are too few for millions of weights.
 */

import { int, ints, type Tape } from '#onnx'
import { float32, int64, type Tensor } from '#tensor'
import { linear, norm, reshape } from '../../training/layers.ts'
import { standardisation } from '../standardise.ts'
import type { Dropout, Network, RewardArchitecture, RewardForm } from './reward-form.ts'

export const MEAN: RewardForm = {
  networks: ['linear', 'transformer'],
  inputOf: (thought) => thought,
  standardise: standardisation,
}

/** Pre-norm encoder over the layers, whose states are averaged. */
export const TRANSFORMER: Network = {
  smallLr: null,
  draft(draft, { width, hidden, blocks, feedForward }) {
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
  },
  emit(tape, { standard, isState, mask, scope, dropout }, architecture) {
    const { layers, width, hidden } = architecture
    const projected = linear(tape, reshape(tape, standard, [-1, width]), `${scope}project`)
    let states = tape.op('Add', [
      reshape(tape, projected, [-1, layers, hidden]),
      tape.constant(sinusoids(layers, hidden)),
    ])
    // [N, 1, 1, T]: 0 for a state to attend to, -1e9 for padding.
    const attentionMask = tape.op('Where', [isState, tape.constant(float32(0)), tape.constant(float32(-1e9))])
    const bias = reshape(tape, attentionMask, [-1, 1, 1, layers])
    for (let block = 0; block < architecture.blocks; block++) {
      states = emitBlock(tape, states, `${scope}blocks.${block}`, architecture, bias, dropout)
    }
    const kept = tape.op('Mul', [norm(tape, states, `${scope}norm`), mask])
    const axis = tape.constant(int64([1]))
    const pooled = tape.op('Div', [
      tape.op('ReduceSum', [kept, axis], { keepdims: int(0) }),
      tape.op('ReduceSum', [mask, axis], { keepdims: int(0) }),
    ])
    const head = dropout(tape, tape.op('Gelu', [linear(tape, pooled, `${scope}head`)]))
    return reshape(tape, linear(tape, head, `${scope}logit`), [-1])
  },
  /** `[B, 1, H]` after each residual branch of a block (the same units in all layers), and `[B, H]` in the head. */
  masks({ blocks, hidden }, batch) {
    const inBlocks = Array.from({ length: 2 * blocks }, () => [batch, 1, hidden])
    return [...inBlocks, [batch, hidden]]
  },
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

/** Sinusoidal position encodings of the layers, `[T, H]` (Vaswani et al., arXiv 1706.03762, section 3.5). */
function sinusoids(layers: number, hidden: number): Tensor<'float32'> {
  const values = Array.from({ length: layers * hidden }, (_, index) => {
    const feature = index % hidden
    const angle = Math.floor(index / hidden) / 10_000 ** ((feature - (feature % 2)) / hidden)
    return feature % 2 === 0 ? Math.sin(angle) : Math.cos(angle)
  })
  return float32(values, [layers, hidden])
}
