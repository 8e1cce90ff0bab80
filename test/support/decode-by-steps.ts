/** @file Reference for compiled generation: one row, one token per run, chosen in fp64 outside the graph. */

import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { DecoderDescription } from '#decoder'
import { encodeModel, type Model, value } from '#onnx'
import type { SamplingRules } from '#ports'
import { argmax } from '#tensor'
import { drawFrom, weightsByRules } from './sample-by-rules.ts'

/** Caches of one row, `[1, K, T, h]` each, in the order key, value, key, ... */
type Caches = readonly Tensor[]

interface StepRun {
  readonly tokens: number[]
  /** `[D]` per token: the state that predicted it. */
  readonly hiddenStates: Float32Array[]
  readonly logits: Float32Array[]
  readonly caches: Caches
}

export interface StepDecoder {
  /** Feeds `tokens` on top of `caches`, then each chosen token, until `steps` tokens or EOS. */
  decode(
    tokens: readonly number[],
    options: {
      readonly steps: number
      readonly caches?: Caches
      readonly eos?: readonly number[]
      readonly temperature?: number
      /** A repetition penalty applies to `tokens` and all chosen ones. */
      readonly sampling?: SamplingRules
      readonly uniforms?: readonly number[]
    },
  ): Promise<StepRun>
}

/** Loads the step graph with its hidden states as an additional output. */
export async function createStepDecoder(model: Model, description: DecoderDescription): Promise<StepDecoder> {
  const { graph } = model
  const hidden = description.head.hidden
  const withHidden = { ...model, graph: { ...graph, outputs: [...graph.outputs, value(hidden, 'float32')] } }
  const session = await InferenceSession.create(encodeModel(withHidden))
  const { keyValueHeads: K, headSize: h, hiddenSize: D, vocabularySize: V, inputs, outputs } = description
  const pastNames = inputs.past.flatMap(({ key, value }) => [key, value])
  const presentNames = outputs.present.flatMap(({ key, value }) => [key, value])
  const empty = pastNames.map(() => new Tensor('float32', new Float32Array(), [1, K, 0, h]))

  return {
    async decode(tokens, { steps, caches = empty, eos = [], temperature = 0, sampling, uniforms = [] }) {
      const run = { tokens: [] as number[], hiddenStates: [] as Float32Array[], logits: [] as Float32Array[] }
      let present: Caches = caches
      let next = tokens
      while (run.tokens.length < steps && !eos.includes(run.tokens.at(-1) ?? -1)) {
        const past = present[0]!.dims[2]!
        const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
        const row = (numbers: readonly number[]) =>
          new Tensor('int64', BigInt64Array.from(numbers, BigInt), [1, numbers.length])
        const results = await session.run({
          [inputs.inputIds]: row(next),
          [inputs.attentionMask]: row(range(0, past + next.length).map(() => 1)),
          ...(inputs.positionIds && { [inputs.positionIds]: row(range(past, past + next.length)) }),
          ...Object.fromEntries(pastNames.map((name, i) => [name, present[i]!])),
        })
        present = presentNames.map((name) => results[name]!)
        const logits = (results[outputs.logits]!.data as Float32Array).slice(-V)
        const picked =
          temperature > 0
            ? drawFrom(
                weightsByRules(logits, temperature, sampling, [...tokens, ...run.tokens]),
                uniforms[run.tokens.length]!,
              )
            : argmax(logits)
        run.tokens.push(picked)
        run.logits.push(logits)
        run.hiddenStates.push((results[hidden]!.data as Float32Array).slice(-D))
        next = [picked]
      }
      return { ...run, caches: present }
    },
  }
}

/** Returns the first index whose cumulative probability exceeds `u`. */
export function inverseCdf(probabilities: ArrayLike<number>, u: number): number {
  let cumulated = 0
  for (let i = 0; i < probabilities.length; i++) {
    cumulated += probabilities[i]!
    if (cumulated > u) return i
  }
  return probabilities.length - 1
}
