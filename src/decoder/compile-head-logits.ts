/**
 * @file Compiles the reads of the LM head: logits at chosen tokens, argmax tokens, sampled tokens, the most likely
 * tokens.
 */

import { createTape, DATA_TYPES, encodeModel, graph, int, type Model, type Tape, value } from '#onnx'
import { int64 } from '#tensor'
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
 * [M, R] in [0, 1), `likely` int64 [1] (number of most likely tokens, N); all must be fed, M = 0 skips the sampling,
 * N = 0 the most likely tokens.
 *
 * Outputs: `logits` float32 [R, C] = head(z) at `token_ids`, `tokens` int64 [R] = argmax head(z), `samples`
 * int64 [M, R] by inverse CDF from softmax(head(z) / temperature), over at most `MAX_CANDIDATES` tokens.
 * `likely_tokens` int64 [R, N], `likely_probabilities` float32 [R, N]: the most likely of softmax(head(z)), in descending
 * order, at most V; without meaning where N = 0.
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
  emitLikelyTokens(tape, logits, description.vocabularySize)
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
          value('likely_tokens', 'int64', ['R', 'N']),
          value('likely_probabilities', 'float32', ['R', 'N']),
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

/** Emits softmax(logits) at its N most likely tokens; ONNX Runtime would compute it in every read without the If. */
function emitLikelyTokens(tape: Tape, logits: string, vocabularySize: number): void {
  const reading = tape.nested()
  const p = reading.op('Softmax', [emitWithoutNaN(reading, logits)], { axis: int(-1) })
  const count = reading.op('Min', ['likely', reading.constant(int64([vocabularySize]))])
  const [probabilities, tokens] = reading.outputs(2, 'TopK', [p, count]) as [string, string]
  const nothing = tape.nested()
  const none = nothing.op('Unsqueeze', ['likely', nothing.constant(int64([-1]))])
  const noProbability = nothing.op('Cast', [none], { to: int(DATA_TYPES.float32) })
  const branch = (nested: Tape, name: string, outputs: readonly [string, string]) =>
    graph(nested.graph({ name, outputs: [value(outputs[0], 'int64'), value(outputs[1], 'float32')] }))
  const isWanted = tape.op('Greater', ['likely', tape.constant(int64([0]))])
  tape.outputs(['likely_tokens', 'likely_probabilities'], 'If', [isWanted], {
    then_branch: branch(reading, 'likely_tokens', [tokens, probabilities]),
    else_branch: branch(nothing, 'no_tokens', [none, noProbability]),
  })
}
