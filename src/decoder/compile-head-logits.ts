/** @file Compiles the reads of the LM head: logits at chosen tokens, argmax tokens, sampled tokens. */

import { createTape, DATA_TYPES, encodeModel, graph, int, type Model, type Tape, value } from '#onnx'
import { int64 } from '#tensor'
import type { DecoderDescription } from './describe-decoder.ts'
import { createHeadModel, emitModelLogits, headScope } from './emit-head.ts'
import { emitArgmax, emitSamples } from './sample-tokens.ts'

/**
 * Compiles the reads of the head; unlike `compileHead`, they compute neither a gradient nor an Adam step. The
 * product is the one of the generation graph, quantised where the export is: latents that nothing has moved
 * decode to the tokens that they predicted. ONNX Runtime's quantised product rounds activations only when its
 * weights are prepacked, so the session of this graph must prepack a quantised head, as generation does.
 *
 * Inputs: `z` float32 [R, D], `token_ids` int64 [C], `temperature` float32 [] (above 0), `uniforms` float32
 * [M, R] in [0, 1); all must be fed, M = 0 skips the sampling.
 *
 * Outputs: `logits` float32 [R, C] = head(z) at `token_ids`, `tokens` int64 [R] = argmax head(z), `samples`
 * int64 [M, R] by inverse CDF from softmax(head(z) / temperature), over at most `MAX_CANDIDATES` tokens.
 *
 * @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION when model and description do not match.
 */
export function compileHeadLogits(model: Model, description: DecoderDescription): Uint8Array {
  const { head, hiddenSize: D } = description
  const { initializers, rename } = headScope(model.graph, head)
  const tape = createTape([...initializers.keys(), 'z', 'token_ids', 'temperature', 'uniforms'])
  const logits = emitModelLogits(tape, head, 'z', rename)
  tape.outputs(['logits'], 'Gather', [logits, 'token_ids'], { axis: int(1) })
  tape.outputs(['tokens'], 'Identity', [emitArgmax(tape, logits)])
  emitRollouts(tape, logits, description.vocabularySize)
  return encodeModel(
    createHeadModel(
      tape.graph({
        name: 'head_logits',
        inputs: [
          value('z', 'float32', ['R', D]),
          value('token_ids', 'int64', ['C']),
          value('temperature', 'float32', []),
          value('uniforms', 'float32', ['M', 'R']),
        ],
        outputs: [
          value('logits', 'float32', ['R', 'C']),
          value('tokens', 'int64', ['R']),
          value('samples', 'int64', ['M', 'R']),
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
