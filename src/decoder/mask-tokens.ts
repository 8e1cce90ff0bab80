/** @file Makes tokens impossible that a model has logits for and its tokenizer does not have. */

import { type Model, storeTensor } from '#onnx'
import { float32 } from '#tensor'
import type { DecoderDescription, TokenRange } from './describe-decoder.ts'

const MASK = 'circadian/masked_tokens'

/**
 * Returns the model and its description with one more step after the LM head: it adds -infinity to the logits of
 * `masked`. Every graph that is compiled from them then gives these tokens probability 0, in argmax, samples and
 * gradients. Costs V additions per row and token, and 4 V bytes per graph.
 *
 * Vocabularies are padded to a round size (Qwen2.5: 151,936 logits, 151,665 tokens); the padded rows of W are
 * not trained.
 */
export function maskTokens(
  model: Model,
  description: DecoderDescription,
  masked: readonly TokenRange[],
): { readonly model: Model; readonly description: DecoderDescription } {
  if (masked.length === 0) return { model, description }
  const { head, vocabularySize } = description
  const mask = new Float32Array(vocabularySize)
  for (const [from, to] of masked) mask.fill(Number.NEGATIVE_INFINITY, from, to)
  const { graph } = model
  const initializers = new Map([...graph.initializers, [MASK, storeTensor(float32(mask))]])
  return {
    model: { ...model, graph: { ...graph, initializers } },
    description: {
      ...description,
      head: { ...head, elementwise: [...head.elementwise, { kind: 'add', constant: MASK }] },
      maskedTokens: [...description.maskedTokens, ...masked].toSorted(([a], [b]) => a - b),
    },
  }
}
