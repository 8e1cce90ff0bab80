/**
 * @file Reference model behind the engine's ports, so that the solver's own prompts, judge and settings
 * drive it.
 */

import { untilEos } from '#algorithms'
import type { Engine, ModelDirectory } from '#engine'
import type { LatentSession, SequenceId } from '#ports'
import { argmax } from '#tensor'
import type { ReferenceModel } from './reference-model.ts'

const PROMPT: SequenceId = 0

/**
 * Creates an engine that runs the whole sequence for every token and once for every verdict, without cache,
 * batches or a process between it and ONNX Runtime. Greedy only: temperatures are ignored.
 */
export function createReferenceEngine(model: ReferenceModel, directory: ModelDirectory): Engine {
  const { codec, info, sizes } = directory
  const { hiddenSize, contextLength, eosTokenIds } = sizes
  const engine = {
    codec,
    hiddenSize,
    contextLength,
    eosTokenIds,
    model: info,
    head: model.head,
    headOf: () => model.head,
    checkRoom: () => undefined,
    open: async (prompt: readonly number[]) => openSession(model, prompt, eosTokenIds),
  }
  // There is no engine process, so the members that observe or close one are absent.
  return engine as unknown as Engine
}

function openSession(
  model: ReferenceModel,
  prompt: readonly number[],
  eosTokenIds: readonly number[],
): LatentSession {
  const sequences: (readonly number[])[] = [prompt]
  const session: Pick<LatentSession, 'promptTokens' | 'prompt' | 'embed' | 'generate' | 'score' | 'close'> = {
    promptTokens: prompt.length,
    prompt: PROMPT,
    embed: async () => (await model.forward(prompt)).hidden,
    async generate(rows) {
      const continuations = []
      for (const row of rows) {
        const tokens = [...untilEos(row.prefix, eosTokenIds)]
        const states: Float32Array[] = []
        const isEnded = () => eosTokenIds.includes(tokens.at(-1) ?? -1)
        for (let count = 0; count < row.maxNewTokens && !isEnded(); count++) {
          const { logits, hidden } = await model.forward([...prompt, ...tokens])
          states.push(hidden)
          tokens.push(argmax(logits))
        }
        const kept = states.slice(0, row.latents)
        continuations.push({
          sequence: sequences.push([...prompt, ...tokens]) - 1,
          tokens,
          latents: { data: joined(kept, model.hiddenSize), length: kept.length, width: model.hiddenSize },
          thought: null,
          signals: null,
          finish: isEnded() ? ('eos' as const) : ('length' as const),
          generatedTokens: states.length,
        })
      }
      return continuations
    },
    async score(rows, tokens) {
      const scores = []
      for (const { sequence, suffix } of rows) {
        const { logits } = await model.forward([...sequences[sequence]!, ...suffix])
        scores.push(Float32Array.from(tokens, (token) => logits[token]!))
      }
      return scores
    },
    close: () => undefined,
  }
  return session as LatentSession
}

function joined(states: readonly Float32Array[], width: number): Float32Array {
  const data = new Float32Array(states.length * width)
  states.forEach((state, index) => {
    data.set(state, index * width)
  })
  return data
}
