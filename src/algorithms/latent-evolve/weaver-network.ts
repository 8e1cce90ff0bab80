/**
 * @file The network of the latent weaver, W_psi (LatentEvolve, arXiv 2509.24771, Eq. 7): maps a query and
 * its first latents to latents from which better answers start.
 *
 * Deviates: the paper's weaver is a 1.5B language model. Here it is a small residual network over (e_c,
 * z_base, position), with the same weights at every position; its last layer starts at zero, so an untrained
 * weaver is the identity.
 */

import { int, type Tape } from '#onnx'
import { float32, int64 } from '#tensor'
import { draftParameters, linear, norm, type Parameters, reshape } from '../training/layers.ts'

export interface WeaverArchitecture {
  /** S_max: number of positions. */
  readonly latents: number
  /** D: width of latents and embeddings. */
  readonly width: number
  /** H: width of the network. */
  readonly hidden: number
  /** Number of residual blocks. */
  readonly blocks: number
}

/** Creates the initial parameters, seeded. */
export function createWeaverParameters(
  { latents, width, hidden, blocks }: WeaverArchitecture,
  seed: number,
): Parameters {
  const draft = draftParameters(seed)
  draft.linear('embedding', width, hidden)
  draft.linear('latent', width, hidden)
  draft.linear('context', width, hidden)
  draft.table('positions', latents, hidden)
  for (let block = 0; block < blocks; block++) {
    draft.norm(`blocks.${block}.norm`, hidden)
    draft.linear(`blocks.${block}.up`, hidden, 2 * hidden)
    draft.linear(`blocks.${block}.down`, 2 * hidden, hidden)
  }
  draft.norm('norm', hidden)
  draft.zeroLinear('shift', hidden, width)
  return draft.parameters
}

/**
 * Names of the initializers with mean and deviation of every feature of z_base, `[D]` each; they are not
 * trained.
 */
export const SCALE = { mean: 'scale.mean', deviation: 'scale.deviation' } as const

/**
 * Records the network on a tape and returns the name of its shift, float32 [N, S, D], in latent units;
 * values at masked positions have no meaning. Parameters and scale are read by their names.
 *
 * @param inputs names of float32 `embedding` [N, D] (of length 1), `zBase` [N, S, D], zero where masked, and
 *   `mask` [N, S, 1].
 */
export function emitShift(
  tape: Tape,
  inputs: { readonly embedding: string; readonly zBase: string; readonly mask: string },
  { latents, width, hidden, blocks }: WeaverArchitecture,
): string {
  const rows = (values: string, size: number) => reshape(tape, values, [-1, size])
  const positions = (values: string) => reshape(tape, values, [-1, latents, hidden])
  const centred = tape.op('Sub', [inputs.zBase, SCALE.mean])
  const standard = tape.op('Mul', [tape.op('Div', [centred, SCALE.deviation]), inputs.mask]) // [N, S, D]
  // Context shared by all positions: their mean.
  const axis = tape.constant(int64([1]))
  const sum = tape.op('ReduceSum', [standard, axis], { keepdims: int(0) })
  const count = tape.op('ReduceSum', [inputs.mask, axis], { keepdims: int(0) }) // [N, 1]
  const one = tape.constant(float32(1))
  // A fully masked row has no mean; dividing by 1 avoids NaN.
  const divisor = tape.op('Where', [tape.op('Less', [count, one]), one, count])
  const context = tape.op('Div', [sum, divisor]) // [N, D]
  // Scaled to deviation 1: a vector of length 1 in D dimensions has coordinates of deviation 1 / sqrt(D).
  const embedding = tape.op('Mul', [inputs.embedding, tape.constant(float32(Math.sqrt(width)))])
  const common = tape.op('Add', [linear(tape, embedding, 'embedding'), linear(tape, context, 'context')])
  const own = positions(linear(tape, rows(standard, width), 'latent'))
  let hiddenStates = tape.op('Add', [
    tape.op('Add', [own, 'positions']),
    reshape(tape, common, [-1, 1, hidden]),
  ])
  for (let block = 0; block < blocks; block++) {
    const name = `blocks.${block}`
    const raised = linear(tape, rows(norm(tape, hiddenStates, `${name}.norm`), hidden), `${name}.up`)
    const change = linear(tape, tape.op('Gelu', [raised]), `${name}.down`)
    hiddenStates = tape.op('Add', [hiddenStates, positions(change)])
  }
  const shift = linear(tape, rows(norm(tape, hiddenStates, 'norm'), hidden), 'shift')
  return tape.op('Mul', [reshape(tape, shift, [-1, latents, width]), SCALE.deviation])
}
