/**
 * @file Emits what the model's own distribution says of each token that it picks: three numbers per row and token, so that
 * nothing of the size of the vocabulary leaves the generation graph.
 */

import { DATA_TYPES, graph, int, type Tape, tensor, value } from '#onnx'
import { float32, int64 } from '#tensor'
import type { TokenRange } from './describe-decoder.ts'

/** Number of signals of a token: log-probability, entropy, self-certainty, in this order. */
export const TOKEN_SIGNALS = 3

export interface SignalInputs {
  readonly vocabularySize: number
  /** Tokens whose logits are -infinity; the distribution is over the others. */
  readonly maskedTokens: readonly TokenRange[]
  /** int64 `[B]`: the tokens that were picked. */
  readonly picked: string
  /** bool scalar; false: zeros are emitted, and nothing is computed. */
  readonly wanted: string
}

/**
 * Emits signals of the picked tokens under p = softmax(logits), the model's own distribution: at temperature 1, before
 * the rules of sampling and the repetition penalty. In nats:
 *
 * - log-probability, log p(token);
 * - entropy, -sum_v p(v) log p(v);
 * - self-certainty, KL(U || p) = -(1/V) sum_v log p(v) - log V (Kang et al., arXiv 2502.18581, Eq. 6), V the number of
 *   tokens that are not masked.
 *
 * NaN for a row whose logits hold NaN or, beside the masked ones, -infinity.
 *
 * Costs four passes over the logits of a row: some 0.3 ms per row and token for V = 151,936 on one core.
 *
 * @param logits float32 `[B, V]`.
 * @returns float32 `[B, 3]`.
 */
export function emitTokenSignals(tape: Tape, logits: string, inputs: SignalInputs): string {
  const computed = tape.nested()
  const skipped = tape.nested()
  const size = skipped.op(
    'Concat',
    [skipped.op('Shape', [inputs.picked]), skipped.constant(int64([TOKEN_SIGNALS]))],
    { axis: int(0) },
  )
  const zeros = skipped.op('ConstantOfShape', [size], { value: tensor(float32([0])) })
  const branch = (nested: Tape, name: string, output: string) =>
    graph(nested.graph({ name, outputs: [value(output, 'float32')] }))
  return tape.op('If', [inputs.wanted], {
    then_branch: branch(computed, 'signals', emitSignals(computed, logits, inputs)),
    else_branch: branch(skipped, 'no_signals', zeros),
  })
}

function emitSignals(
  tape: Tape,
  logits: string,
  { vocabularySize, maskedTokens, picked }: SignalInputs,
): string {
  const axis = (number: number) => tape.constant(int64([number]))
  const { possible, count } = emitPossible(tape, logits, vocabularySize, maskedTokens)
  const logP = tape.op('LogSoftmax', [possible], { axis: int(-1) }) // [B, V]
  const p = tape.op('Exp', [logP])
  // A product of a row and a column reads each once and writes one number.
  const negentropy = tape.op('MatMul', [
    tape.op('Unsqueeze', [p, axis(1)]),
    tape.op('Unsqueeze', [logP, axis(2)]),
  ]) // [B, 1, 1]
  const sum = tape.op('ReduceSum', [logP, axis(1)]) // [B, 1]
  const mean = tape.op('Mul', [sum, tape.constant(float32([-1 / count]))])
  const index = tape.op('Unsqueeze', [emitIndex(tape, picked, count, maskedTokens), axis(1)])
  return tape.op(
    'Concat',
    [
      tape.op('GatherElements', [logP, index], { axis: int(1) }),
      tape.op('Neg', [tape.op('Squeeze', [negentropy, axis(2)])]),
      tape.op('Sub', [mean, tape.constant(float32([Math.log(count)]))]),
    ],
    { axis: int(1) },
  )
}

/** Emits the logits of the tokens that are not masked, `[B, count]`. */
function emitPossible(
  tape: Tape,
  logits: string,
  vocabularySize: number,
  maskedTokens: readonly TokenRange[],
): { readonly possible: string; readonly count: number } {
  const starts = [0, ...maskedTokens.map(([, to]) => to)]
  const ends = [...maskedTokens.map(([from]) => from), vocabularySize]
  const kept = starts.map((from, i) => [from, ends[i]!] as const).filter(([from, to]) => from < to)
  const count = kept.reduce((sum, [from, to]) => sum + to - from, 0)
  if (count === vocabularySize) return { possible: logits, count }
  const vector = (number: number) => tape.constant(int64([number]))
  const slices = kept.map(([from, to]) => tape.op('Slice', [logits, vector(from), vector(to), vector(1)]))
  return { possible: slices.length === 1 ? slices[0]! : tape.op('Concat', slices, { axis: int(1) }), count }
}

/** Emits the places of tokens among those that are not masked, int64 `[B]`. A row of NaN may pick a masked token. */
function emitIndex(tape: Tape, picked: string, count: number, maskedTokens: readonly TokenRange[]): string {
  if (maskedTokens.length === 0) return picked
  const shifted = maskedTokens.reduce((index, [from, to]) => {
    const isAfter = tape.op('GreaterOrEqual', [picked, tape.constant(int64(to))])
    const before = tape.op('Cast', [isAfter], { to: int(DATA_TYPES.int64) })
    return tape.op('Sub', [index, tape.op('Mul', [before, tape.constant(int64(to - from))])])
  }, picked)
  const last = tape.constant(int64(count - 1))
  return tape.op('Min', [tape.op('Max', [shifted, tape.constant(int64(0))]), last])
}
