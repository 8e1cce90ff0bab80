/** @file Sums of layer states inside the generation graph: latent thoughts, without a state per token. */

import { DATA_TYPES, int, type Tape, tensor } from '#onnx'
import { float32, int64 } from '#tensor'

/**
 * Emits the sum over positions of every layer's states, weighted and added to `sums`. Runs in fp32 whatever the states
 * are in: half precision would lose the later terms of a long sum.
 *
 * Not skipped when no thought is wanted: it costs 1 to 3 % of a step of the bundled model, and every request that learns
 * wants it.
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

/** Emits the weights of the next position, `[B, 1]`: 1 while a row goes on, 0 once it is `finished`, bool `[B]`. */
export function emitNextWeights(tape: Tape, finished: string): string {
  const goesOn = tape.op('Cast', [tape.op('Not', [finished])], { to: int(DATA_TYPES.float32) })
  return tape.op('Unsqueeze', [goesOn, tape.constant(int64([1]))])
}

/** Emits the sums of nothing yet, zeros `[B, L+1, D]`, for as many rows as `rows` `[B]` has. */
export function emitNoThoughts(
  tape: Tape,
  rows: string,
  { layers, hiddenSize }: { readonly layers: number; readonly hiddenSize: number },
): string {
  const sizes = tape.constant(int64([layers + 1, hiddenSize]))
  const shape = tape.op('Concat', [tape.op('Shape', [rows]), sizes], { axis: int(0) })
  return tape.op('ConstantOfShape', [shape], { value: tensor(float32([0])) })
}
