/**
 * @file Emits sums of layer states inside the generation graph: latent thoughts without one output state per
 * token.
 */

import { DATA_TYPES, int, type Tape, tensor } from '#onnx'
import { float32, int64 } from '#tensor'

/**
 * Emits the weighted sum over positions of every layer's states, added to `sums`. Runs in fp32 for states of
 * any type: half precision would lose the later terms of a long sum.
 *
 * @param states of each layer, `[B, S, D]` or `[B*S, D]`, in any float type.
 * @param shape int64 `[3]`: B, S and -1.
 * @param weights float32 `[B, S]`.
 * @param sums float32 `[B, L+1, D]`.
 * @returns float32 `[B, L+1, D]`.
 */
export function emitThoughtSums(
  tape: Tape,
  states: readonly string[],
  shape: string,
  weights: string,
  sums: string,
): string {
  const line = tape.op('Unsqueeze', [weights, tape.constant(int64([1]))]) // [B, 1, S]
  const terms = states.map((state) => {
    const inFloat32 = tape.op('Cast', [tape.op('Reshape', [state, shape])], { to: int(DATA_TYPES.float32) })
    return tape.op('MatMul', [line, inFloat32]) // [B, 1, D]
  })
  return tape.op('Add', [sums, tape.op('Concat', terms, { axis: int(1) })])
}

/** Emits the weights `[B, 1]` of the next position: 0 for rows that are `finished` (bool `[B]`), else 1. */
export function emitNextWeights(tape: Tape, finished: string): string {
  const goesOn = tape.op('Cast', [tape.op('Not', [finished])], { to: int(DATA_TYPES.float32) })
  return tape.op('Unsqueeze', [goesOn, tape.constant(int64([1]))])
}

/**
 * Emits initial sums: zeros `[B, L+1, D]`, with the number of rows of `rows` `[B]`; of no layers unless `wanted` (bool
 * scalar), because every step copies them.
 */
export function emitNoThoughts(
  tape: Tape,
  rows: string,
  wanted: string,
  { states, hiddenSize }: { readonly states: number; readonly hiddenSize: number },
): string {
  const sizes = tape.op('Where', [
    wanted,
    tape.constant(int64([states, hiddenSize])),
    tape.constant(int64([0, hiddenSize])),
  ])
  const shape = tape.op('Concat', [tape.op('Shape', [rows]), sizes], { axis: int(0) })
  return tape.op('ConstantOfShape', [shape], { value: tensor(float32([0])) })
}
