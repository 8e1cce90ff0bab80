/** @file Emits the choice of the next token: argmax, or a sample from the most likely tokens. */

import { DATA_TYPES, graph, int, type Tape, value } from '#onnx'
import { float32, int64 } from '#tensor'

/**
 * K: upper bound on the tokens that a sample is drawn from, the most likely ones of its row. In a vocabulary of
 * at most K tokens, a sample without rules is drawn from the whole distribution.
 */
export const MAX_CANDIDATES = 128

/** Emits argmax over the last axis of `logits` `[R, V]`: int64 `[R]`, the first of equals. */
export function emitArgmax(tape: Tape, logits: string): string {
  return tape.op('ArgMax', [logits], { axis: int(-1), keepdims: int(0) })
}

/** Rules that leave out unlikely tokens; each is a value of one number per row, `[R, 1]`. */
interface Truncation {
  /** int64, at least 1: number of most likely tokens that stay. */
  readonly topK: string
  /** float32 in (0, 1]: the most likely tokens stay whose probabilities first sum up to it; 1: all. */
  readonly topP: string
  /** float32 in [0, 1]: tokens stay whose probability is at least this share of the greatest one; 0: all. */
  readonly minP: string
}

/** A repetition penalty; the names of values. */
interface Repetition {
  /** float32 `[R, 1]`, above 0; 1: none. */
  readonly penalty: string
  /** int64 `[R, N]`: tokens that it applies to; a token may stand there several times. */
  readonly seenTokens: string
  /** bool scalar: some penalty is not 1. */
  readonly anyPenalised: string
}

interface Sampling {
  readonly vocabularySize: number
  /** float32, above 0, a scalar or `[R, 1]`. */
  readonly temperature: string
  /** float32 in [0, 1), `[R, M]`: M draws from every row. */
  readonly uniforms: string
  readonly truncation: Truncation | null
  readonly repetition: Repetition | null
}

/**
 * Emits samples by inverse CDF: the first token, in the order of the vocabulary, whose cumulated probability
 * exceeds the uniform. The probabilities are softmax(logits / temperature) over the min(V, `MAX_CANDIDATES`)
 * most likely tokens (ties: the lower ids), less what the rules leave out, in the order of transformers: top-k,
 * top-p, min-p. Before them, a repetition penalty r divides the positive logits of the seen tokens by r and
 * multiplies the negative ones, as in transformers. A token of probability 0 is never picked, nor is one whose
 * logit is NaN; a row of NaN gives 0.
 *
 * The sum runs in fp64, as does all that follows the softmax: u < 1 then stays below the total after rounding.
 * It has at most `MAX_CANDIDATES` terms: over the whole vocabulary, ONNX Runtime's CumSum takes quadratic time
 * on CUDA. Logits are copied only for a penalty or because of a NaN, which TopK cannot sort. The penalty has no
 * state of the size of the vocabulary: the logits of the seen tokens are gathered, changed and scattered.
 *
 * Deviates: of several tokens with the logit of the k-th, transformers keeps all, this rule the lowest ids.
 *
 * @param logits float32 `[R, V]`.
 * @returns int64 `[R, M]`.
 */
export function emitSamples(tape: Tape, logits: string, sampling: Sampling): string {
  const { repetition } = sampling
  const hasNaN = tape.op('IsNaN', [tape.op('ReduceSum', [logits], { keepdims: int(0) })])
  const changing = tape.nested()
  const changed = emitWithoutNaN(
    changing,
    repetition === null ? logits : emitPenalised(changing, logits, repetition),
  )
  const plain = tape.nested()
  return emitIf(tape, repetition === null ? hasNaN : tape.op('Or', [hasNaN, repetition.anyPenalised]), {
    whenTrue: [changing, emitDraws(changing, changed, sampling)],
    whenFalse: [plain, emitDraws(plain, logits, sampling)],
  })
}

/** Emits the draws from logits without NaN. */
function emitDraws(
  tape: Tape,
  logits: string,
  { vocabularySize, temperature, uniforms, truncation }: Sampling,
): string {
  const count = Math.min(vocabularySize, MAX_CANDIDATES)
  const size = tape.constant(int64([count]))
  const last = tape.constant(int64([-1]))
  const [best, candidates] = tape.outputs(2, 'TopK', [logits, size]) as [string, string] // [R, K], descending
  const all = toDouble(tape, tape.op('Softmax', [tape.op('Div', [best, temperature])], { axis: int(-1) }))
  const weights = truncation === null ? all : emitTruncated(tape, all, count, truncation)

  const [tokens, order] = tape.outputs(2, 'TopK', [candidates, size], { largest: int(0) }) as [string, string]
  const sorted = tape.op('GatherElements', [weights, order], { axis: int(1) })
  const cumulated = tape.op('CumSum', [sorted, tape.constant(int64(-1))]) // [R, K]
  const total = tape.op('Gather', [cumulated, last], { axis: int(-1) }) // [R, 1]
  const level = tape.op('Unsqueeze', [tape.op('Mul', [toDouble(tape, uniforms), total]), last]) // [R, M, 1]
  const steps = tape.op('Unsqueeze', [cumulated, tape.constant(int64([1]))]) // [R, 1, K]
  const passed = tape.op('Cast', [tape.op('LessOrEqual', [steps, level])], { to: int(DATA_TYPES.int64) })
  const place = tape.op('ReduceSum', [passed, last], { keepdims: int(0) }) // [R, M]
  const valid = tape.op('Min', [place, tape.constant(int64(count - 1))])
  return tape.op('GatherElements', [tokens, valid], { axis: int(1) })
}

/** Emits float64 `[R, K]`: `probabilities`, descending, with 0 for what the rules leave out. */
function emitTruncated(tape: Tape, probabilities: string, count: number, rules: Truncation): string {
  const last = tape.constant(int64([-1]))
  const ranks = tape.constant(int64(Array.from({ length: count }, (_, rank) => rank)))
  const among = toDouble(tape, tape.op('Less', [ranks, rules.topK]))
  const p = tape.op('Mul', [probabilities, among])
  const before = tape.op('CumSum', [p, tape.constant(int64(-1))], { exclusive: int(1) })
  const share = tape.op('Mul', [toDouble(tape, rules.topP), tape.op('ReduceSum', [p, last])])
  // The sum before an unlikely token may round to the total.
  const isOff = tape.op('GreaterOrEqual', [rules.topP, tape.constant(float32(1))])
  const isInside = tape.op('Or', [tape.op('Less', [before, share]), isOff])
  const greatest = tape.op('Gather', [p, tape.constant(int64([0]))], { axis: int(-1) }) // [R, 1]
  const least = tape.op('Mul', [toDouble(tape, rules.minP), greatest])
  const stays = tape.op('And', [isInside, tape.op('GreaterOrEqual', [p, least])])
  return tape.op('Mul', [p, toDouble(tape, stays)])
}

function toDouble(tape: Tape, name: string): string {
  return tape.op('Cast', [name], { to: int(DATA_TYPES.float64) })
}

/** Inputs of the choice of one token per row; the names of values. */
export interface NextTokenInputs {
  /** float32 `[B]`; 0: argmax. */
  readonly temperature: string
  /** int64 `[B]`, and float32 `[B]` each: the rules of `Truncation`. */
  readonly topK: string
  readonly topP: string
  readonly minP: string
  /** float32 `[B]`; see `Repetition`, as are the next two. */
  readonly repetitionPenalty: string
  readonly seenTokens: string
  readonly anyPenalised: string
  /** float32 `[B]` in [0, 1). */
  readonly uniforms: string
  /** bool scalar: some temperature is above 0. */
  readonly anySampled: string
}

/**
 * Emits the next token of every row, int64 `[B]`: argmax where `temperature` is 0, whatever the rules and the
 * penalty, else a sample (`emitSamples`). A batch without a temperature above 0 skips the sampling.
 *
 * @param logits float32 `[B, V]`.
 */
export function emitNextToken(
  tape: Tape,
  logits: string,
  { vocabularySize, ...inputs }: NextTokenInputs & { readonly vocabularySize: number },
): string {
  const greedy = emitArgmax(tape, logits)
  const sampling = tape.nested()
  const last = sampling.constant(int64([-1]))
  const column = (name: string) => sampling.op('Unsqueeze', [name, last]) // [B, 1]
  const isSampled = sampling.op('Greater', [inputs.temperature, sampling.constant(float32(0))])
  const safe = sampling.op('Where', [isSampled, inputs.temperature, sampling.constant(float32(1))])
  const drawn = emitSamples(sampling, logits, {
    vocabularySize,
    temperature: column(safe),
    uniforms: column(inputs.uniforms),
    truncation: { topK: column(inputs.topK), topP: column(inputs.topP), minP: column(inputs.minP) },
    repetition: {
      penalty: column(inputs.repetitionPenalty),
      seenTokens: inputs.seenTokens,
      anyPenalised: inputs.anyPenalised,
    },
  })
  const mixed = sampling.op('Where', [isSampled, sampling.op('Squeeze', [drawn, last]), greedy])
  const plain = tape.nested()
  return emitIf(tape, inputs.anySampled, {
    whenTrue: [sampling, mixed],
    whenFalse: [plain, plain.op('Identity', [greedy])],
  })
}

/** Emits `[R, V]`: -infinity in place of NaN. */
export function emitWithoutNaN(tape: Tape, logits: string): string {
  const worst = tape.constant(float32(Number.NEGATIVE_INFINITY))
  return tape.op('Where', [tape.op('IsNaN', [logits]), worst, logits])
}

/** Emits `[R, V]`: the logits after the penalty. */
function emitPenalised(tape: Tape, logits: string, { penalty, seenTokens }: Repetition): string {
  const axis = { axis: int(1) }
  const old = tape.op('GatherElements', [logits, seenTokens], axis)
  const changed = tape.op('Where', [
    tape.op('Less', [old, tape.constant(float32(0))]),
    tape.op('Mul', [old, penalty]),
    tape.op('Div', [old, penalty]),
  ])
  return tape.op('ScatterElements', [logits, seenTokens, changed], axis)
}

type Branch = readonly [tape: Tape, output: string]

/** Emits one int64 value, of one of two branches. */
function emitIf(
  tape: Tape,
  condition: string,
  { whenTrue, whenFalse }: { readonly whenTrue: Branch; readonly whenFalse: Branch },
): string {
  const branch = ([nested, output]: Branch, name: string) =>
    graph(nested.graph({ name, outputs: [value(output, 'int64')] }))
  return tape.op('If', [condition], {
    then_branch: branch(whenTrue, 'then'),
    else_branch: branch(whenFalse, 'else'),
  })
}
