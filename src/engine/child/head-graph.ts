/**
 * @file The LM head alone on ONNX Runtime: ascends latents, decodes and samples their tokens, computes
 * verdict logits.
 */

import type { AdamState, AscentRequest, AscentResult, Latents } from '#ports'
import { createRandom, createTensor, float32, int64 } from '#tensor'
import { hasChanged } from '../ascend-in-slices.ts'
import type { Session } from './onnx-runtime.ts'

export interface HeadGraph {
  /**
   * Ascends until the request is fulfilled, or until another update is expected to end after `maxMs`; at least
   * one update.
   */
  ascend(request: AscentRequest, maxMs?: number): Promise<AscentResult>
  /** Returns the argmax tokens, one per latent. */
  decode(latents: Latents): Promise<number[]>
  /** Returns `[rollouts][S]` tokens drawn by inverse CDF. */
  sample(latents: Latents, rollouts: number, temperature: number, seed: number): Promise<number[][]>
  /** Returns the logits at `tokens`, one array per row of `states` `[R, D]`. */
  logits(states: Float32Array, tokens: readonly number[]): Promise<Float32Array[]>
}

const STATE = ['z_next', 'm_next', 'v_next'] as const

/**
 * Wraps sessions of the graphs that were compiled by `compileHead` (`step`) and `compileHeadLogits`
 * (`logits`). After an update, `logits` reads the tokens where `step` does not return them.
 */
export function createHeadGraph(
  sessions: { readonly step: Session; readonly logits: Session },
  hiddenSize: number,
): HeadGraph {
  const fetches: readonly ((typeof STATE)[number] | 'tokens')[] = sessions.step.outputNames.includes('tokens')
    ? [...STATE, 'tokens']
    : STATE
  const latentsTensor = (data: Float32Array) =>
    createTensor('float32', [data.length / hiddenSize, hiddenSize], data)

  return {
    async ascend(request, maxMs = Number.POSITIVE_INFINITY) {
      const startedAt = performance.now()
      const { actions, maxSteps } = request
      const length = request.latents.length
      const constants = {
        actions: createTensor('int64', [actions.length, length], BigInt64Array.from(actions.flat(), BigInt)),
        advantages: float32(request.advantages),
        lr: float32(request.lr),
        beta1: float32(request.beta1),
        beta2: float32(request.beta2),
        epsilon: float32(request.epsilon),
        temperature: float32(request.temperature),
      }
      let z = request.latents.data
      let adam: AdamState = request.adam
      let tokens: number[] | null = null
      let steps = 0
      let elapsedMs = 0
      const isInTime = () => steps === 0 || elapsedMs * (1 + 1 / steps) <= maxMs
      while (steps < maxSteps && isInTime() && !(tokens !== null && hasChanged(request, tokens))) {
        const next = await sessions.step.run(
          {
            ...constants,
            z: latentsTensor(z),
            m: latentsTensor(adam.m),
            v: latentsTensor(adam.v),
            step: float32(adam.step),
          },
          fetches,
        )
        z = next.z_next.data as Float32Array
        adam = {
          m: next.m_next.data as Float32Array,
          v: next.v_next.data as Float32Array,
          step: adam.step + 1,
        }
        tokens = fetches.includes('tokens')
          ? Array.from(next.tokens.data as BigInt64Array, Number)
          : await this.decode({ ...request.latents, data: z })
        steps += 1
        elapsedMs = performance.now() - startedAt
      }
      return {
        latents: { ...request.latents, data: z },
        adam,
        steps,
        tokens: tokens ?? (await this.decode(request.latents)),
      }
    },
    async decode(latents) {
      const { tokens } = await sessions.logits.run(logitsFeeds(latents.data, [0]), ['tokens'])
      return Array.from(tokens.data as BigInt64Array, Number)
    },
    async sample(latents, rollouts, temperature, seed) {
      const random = createRandom(seed)
      const uniforms = Float32Array.from({ length: rollouts * latents.length }, () => random.uniform())
      const { samples } = await sessions.logits.run(
        logitsFeeds(latents.data, [0], { temperature, uniforms }),
        ['samples'],
      )
      const drawn = Array.from(samples.data as BigInt64Array, Number)
      return Array.from({ length: rollouts }, (_, rollout) =>
        drawn.slice(rollout * latents.length, (rollout + 1) * latents.length),
      )
    },
    async logits(states, tokens) {
      const { logits } = await sessions.logits.run(logitsFeeds(states, tokens), ['logits'])
      const values = logits.data as Float32Array
      return Array.from({ length: states.length / hiddenSize }, (_, row) =>
        values.slice(row * tokens.length, (row + 1) * tokens.length),
      )
    },
  }

  /**
   * Builds the feeds. Every input must be fed, even if the fetched output does not depend on it; empty
   * uniforms draw no samples.
   */
  function logitsFeeds(
    states: Float32Array,
    tokens: readonly number[],
    { temperature, uniforms } = { temperature: 1, uniforms: new Float32Array() },
  ) {
    const rows = states.length / hiddenSize
    return {
      z: latentsTensor(states),
      token_ids: int64(tokens),
      temperature: float32(temperature),
      uniforms: createTensor('float32', [uniforms.length / rows, rows], uniforms),
    }
  }
}
