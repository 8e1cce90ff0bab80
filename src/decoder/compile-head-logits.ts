/**
 * @file Compiles the reads of the LM head: logits at chosen tokens, argmax tokens, sampled tokens, entropies with the
 * most likely tokens.
 */

import { createTape, DATA_TYPES, encodeModel, graph, int, type Model, type Tape, value } from '#onnx'
import { float32, int64 } from '#tensor'
import type { DecoderDescription } from './describe-decoder.ts'
import { createHeadModel, emitModelLogits, headScope } from './emit-head.ts'
import { emitArgmax, emitSamples, emitWithoutNaN } from './sample-tokens.ts'

/**
 * Compiles the reads of the head; unlike `compileHead`, they compute neither a gradient nor an Adam step. The
 * product is the one of the generation graph, quantised where the export is: latents that nothing has moved
 * decode to the tokens that they predicted. ONNX Runtime's quantised product rounds activations only when its
 * weights are prepacked, so the session of this graph must prepack a quantised head, as generation does.
 *
 * Inputs: `z` float32 [R, D], `token_ids` int64 [C], `temperature` float32 [] (above 0), `uniforms` float32
 * [M, R] in [0, 1), `likely` int64 [1] (number of most likely tokens, N); all must be fed, M = 0 skips the sampling and
 * N = 0 the distributions.
 *
 * Outputs: `logits` float32 [R, C] = head(z) at `token_ids`, `tokens` int64 [R] = argmax head(z), `samples`
 * int64 [M, R] by inverse CDF from softmax(head(z) / temperature), over at most `MAX_CANDIDATES` tokens. Of softmax(head(z)):
 * `entropies` float32 [R], in nats, and `likely_tokens` int64 [R, N], `likely_probabilities` float32 [R, N], in descending
 * order, N at most V; the three have no meaning where N = 0.
 *
 * @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION when model and description do not match.
 */
export function compileHeadLogits(model: Model, description: DecoderDescription): Uint8Array {
  const { head, hiddenSize: D } = description
  const { initializers, rename } = headScope(model.graph, head)
  const tape = createTape([...initializers.keys(), 'z', 'token_ids', 'temperature', 'uniforms', 'likely'])
  const logits = emitModelLogits(tape, head, 'z', rename)
  tape.outputs(['logits'], 'Gather', [logits, 'token_ids'], { axis: int(1) })
  tape.outputs(['tokens'], 'Identity', [emitArgmax(tape, logits)])
  emitRollouts(tape, logits, description.vocabularySize)
  emitDistributions(tape, logits, description.vocabularySize)
  return encodeModel(
    createHeadModel(
      tape.graph({
        name: 'head_logits',
        inputs: [
          value('z', 'float32', ['R', D]),
          value('token_ids', 'int64', ['C']),
          value('temperature', 'float32', []),
          value('uniforms', 'float32', ['M', 'R']),
          value('likely', 'int64', [1]),
        ],
        outputs: [
          value('logits', 'float32', ['R', 'C']),
          value('tokens', 'int64', ['R']),
          value('samples', 'int64', ['M', 'R']),
          ...DISTRIBUTIONS.map(({ name, dtype, dims }) => value(name, dtype, dims)),
        ],
        initializers,
      }),
    ),
  )
}

function emitRollouts(tape: Tape, logits: string, vocabularySize: number): void {
  const wanted = tape.op('Greater', [tape.op('Size', ['uniforms']), tape.constant(int64(0))])
  const sampling = tape.nested()
  const drawn = emitSamples(sampling, logits, {
    vocabularySize,
    temperature: 'temperature',
    uniforms: sampling.op('Transpose', ['uniforms']),
    truncation: null,
    repetition: null,
  })
  const samples = sampling.op('Transpose', [drawn])
  const nothing = tape.nested()
  const empty = nothing.op('Cast', ['uniforms'], { to: int(DATA_TYPES.int64) })
  tape.outputs(['samples'], 'If', [wanted], {
    then_branch: graph(sampling.graph({ name: 'sampled', outputs: [value(samples, 'int64')] })),
    else_branch: graph(nothing.graph({ name: 'nothing', outputs: [value(empty, 'int64')] })),
  })
}

const DISTRIBUTIONS = [
  { name: 'entropies', dtype: 'float32', dims: ['R'] },
  { name: 'likely_tokens', dtype: 'int64', dims: ['R', 'N'] },
  { name: 'likely_probabilities', dtype: 'float32', dims: ['R', 'N'] },
] as const

/** Emits the `DISTRIBUTIONS` of `logits` `[R, V]`; ONNX Runtime would compute them in every read without the If. */
function emitDistributions(tape: Tape, logits: string, vocabularySize: number): void {
  const last = int64([-1])
  const reading = tape.nested()
  const logs = reading.op('LogSoftmax', [emitWithoutNaN(reading, logits)], { axis: int(-1) })
  const p = reading.op('Exp', [logs])
  const zero = reading.constant(float32(0))
  // A masked token has p = 0 and log p = -infinity, whose product is NaN.
  const terms = reading.op('Where', [reading.op('Greater', [p, zero]), reading.op('Mul', [p, logs]), zero])
  const sum = reading.op('ReduceSum', [terms, reading.constant(last)], { keepdims: int(0) })
  const count = reading.op('Min', ['likely', reading.constant(int64([vocabularySize]))])
  const [best, tokens] = reading.outputs(2, 'TopK', [logs, count]) as [string, string]
  const read = [reading.op('Neg', [sum]), tokens, reading.op('Exp', [best])]

  const nothing = tape.nested()
  const none = nothing.op('Unsqueeze', ['likely', nothing.constant(last)])
  const float = { to: int(DATA_TYPES.float32) }
  const skipped = [
    nothing.op('Cast', ['likely'], float),
    nothing.op('Identity', [none]),
    nothing.op('Cast', [none], float),
  ]
  const branch = (nested: Tape, name: string, outputs: readonly string[]) =>
    graph(
      nested.graph({
        name,
        outputs: outputs.map((output, index) => value(output, DISTRIBUTIONS[index]!.dtype)),
      }),
    )
  const names = DISTRIBUTIONS.map(({ name }) => name)
  tape.outputs(names, 'If', [tape.op('Greater', ['likely', tape.constant(int64([0]))])], {
    then_branch: branch(reading, 'distributions', read),
    else_branch: branch(nothing, 'no_distributions', skipped),
  })
}
