/** @file Emits the choice of the next token: argmax, or a sample by inverse CDF. */

import { DATA_TYPES, graph, int, type Tape, value } from '#onnx'
import { float32, int64 } from '#tensor'

/** Emits argmax over the last axis of `logits` `[R, V]`: int64 `[R]`, the first of equals. */
export function emitArgmax(tape: Tape, logits: string): string {
  return tape.op('ArgMax', [logits], { axis: int(-1), keepdims: int(0) })
}

/**
 * Emits one token per row by inverse CDF: the first token whose cumulated probability under softmax(logits /
 * temperature) exceeds `uniforms`. A token of probability 0 is never picked.
 *
 * The sum runs in fp64: u < 1 then stays below the total after rounding, and a large vocabulary costs no
 * precision.
 *
 * @param logits float32 `[R, V]`.
 * @param temperature float32, above 0, of a shape that broadcasts to `[R, V]`.
 * @param uniforms float32 in [0, 1), `[..., R]`; leading axes draw several times from every row.
 * @returns int64, the shape of `uniforms`.
 */
export function emitInverseCdf(tape: Tape, logits: string, temperature: string, uniforms: string): string {
  const toDouble = (name: string) => tape.op('Cast', [name], { to: int(DATA_TYPES.float64) })
  const last = tape.constant(int64([-1]))
  const probabilities = tape.op('Softmax', [tape.op('Div', [logits, temperature])], { axis: int(-1) })
  const cumulated = tape.op('CumSum', [toDouble(probabilities), tape.constant(int64(-1))]) // [R, V]
  const total = tape.op('Gather', [cumulated, tape.constant(int64(-1))], { axis: int(-1) }) // [R]
  const level = tape.op('Unsqueeze', [tape.op('Mul', [toDouble(uniforms), total]), last]) // [..., R, 1]
  const passed = tape.op('Cast', [tape.op('LessOrEqual', [cumulated, level])], { to: int(DATA_TYPES.int64) })
  return tape.op('ReduceSum', [passed, last], { keepdims: int(0) })
}

/**
 * Emits the next token of every row: argmax where `temperature` is 0, else a sample by inverse CDF. A batch
 * without a temperature above 0 skips the sampling.
 *
 * @param anySampled bool scalar: true when some temperature is above 0.
 * @param temperature float32 `[B]`; `uniforms` float32 `[B]`; `logits` float32 `[B, V]`.
 * @returns int64 `[B]`.
 */
export function emitNextToken(
  tape: Tape,
  logits: string,
  { temperature, uniforms, anySampled }: { temperature: string; uniforms: string; anySampled: string },
): string {
  const greedy = emitArgmax(tape, logits)
  const sampling = tape.nested()
  const isSampled = sampling.op('Greater', [temperature, sampling.constant(float32(0))])
  const safe = sampling.op('Where', [isSampled, temperature, sampling.constant(float32(1))])
  const column = sampling.op('Unsqueeze', [safe, sampling.constant(int64([-1]))]) // [B, 1]
  const sampled = emitInverseCdf(sampling, logits, column, uniforms)
  const mixed = sampling.op('Where', [isSampled, sampled, greedy])
  const plain = tape.nested()
  const same = plain.op('Identity', [greedy])
  return tape.op('If', [anySampled], {
    then_branch: graph(sampling.graph({ name: 'sampled', outputs: [value(mixed, 'int64')] })),
    else_branch: graph(plain.graph({ name: 'greedy', outputs: [value(same, 'int64')] })),
  })
}
