/** @file Reference for latent thoughts: one plain forward over all tokens, with layer states as outputs. */

import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { DecoderDescription } from '#decoder'
import { DATA_TYPES, encodeModel, int, type Model, type Node, value } from '#onnx'

/** Returns the mean states `[L+1, D]` over the positions that predict `answer` after `prompt`. */
type ThoughtReference = (prompt: readonly number[], answer: readonly number[]) => Promise<Float32Array>

export async function thoughtReference(
  model: Model,
  description: DecoderDescription,
  layerStates: readonly string[],
): Promise<ThoughtReference> {
  const { keyValueHeads: K, headSize: h, hiddenSize: D, inputs, dtype } = description
  const names = layerStates.map((_, layer) => `state.${layer}`)
  const casts = layerStates.map(
    (state, layer): Node => ({
      opType: 'Cast',
      domain: '',
      name: `cast ${layer}`,
      inputs: [state],
      outputs: [names[layer]!],
      attributes: new Map([['to', int(DATA_TYPES.float32)]]),
    }),
  )
  const { graph } = model
  const outputs = names.map((name) => value(name, 'float32'))
  const session = await InferenceSession.create(
    encodeModel({ ...model, graph: { ...graph, nodes: [...graph.nodes, ...casts], outputs } }),
  )
  const pastNames = inputs.past.flatMap(({ key, value }) => [key, value])
  const empty = new Tensor(dtype, dtype === 'float16' ? new Uint16Array() : new Float32Array(), [1, K, 0, h])

  return async (prompt, answer) => {
    const tokens = [...prompt, ...answer.slice(0, -1)]
    const row = (numbers: readonly number[]) =>
      new Tensor('int64', BigInt64Array.from(numbers, BigInt), [1, numbers.length])
    const results = await session.run({
      [inputs.inputIds]: row(tokens),
      [inputs.attentionMask]: row(tokens.map(() => 1)),
      ...(inputs.positionIds && { [inputs.positionIds]: row([...tokens.keys()]) }),
      ...Object.fromEntries(pastNames.map((name) => [name, empty])),
    })
    const means = names.flatMap((name) => {
      const states = results[name]!.data as Float32Array
      return Array.from({ length: D }, (_, d) => {
        let sum = 0
        for (let t = prompt.length - 1; t < tokens.length; t++) sum += states[t * D + d]!
        return sum / answer.length
      })
    })
    return Float32Array.from(means)
  }
}
