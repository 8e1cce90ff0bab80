/**
 * @file The LM head alone on ONNX Runtime: ascends latents, decodes and samples their tokens, computes
 * their most likely tokens and verdict logits.
 */

import type { AdamState, AscentRequest, AscentResult, Latents, LikelyToken } from '#ports'
import { createTensor, float32, int64, type Tensor } from '#tensor'
import { hasChanged, MIN_HEAD_POSITIONS, partialUpdate } from '../head-in-slices.ts'
import type { Session } from './onnx-runtime.ts'

/**
 * The head on `S` positions. With `maxMs`, a call serves only as many of the first positions as are expected to
 * take that long by the duration of earlier calls, and at least `MIN_HEAD_POSITIONS`.
 */
export interface HeadGraph {
  /**
   * Ascends until the request is fulfilled, or until another update is expected to end after `maxMs`; at least
   * one update. Where `maxMs` is too short for all positions, does one update of the first ones.
   */
  ascend(request: AscentRequest, maxMs?: number): Promise<AscentResult>
  /** Returns the argmax tokens, one per latent. */
  decode(latents: Latents, maxMs?: number): Promise<number[]>
  /** Returns `[S][M]` tokens drawn by inverse CDF from `uniforms` `[S][M]` in [0, 1). */
  sample(
    latents: Latents,
    uniforms: readonly Float32Array[],
    temperature: number,
    maxMs?: number,
  ): Promise<number[][]>
  /** Returns the `count` most likely tokens of each latent, in descending order. */
  likelyTokens(latents: Latents, count: number, maxMs?: number): Promise<LikelyToken[][]>
  /** Returns the logits at `tokens`, one array per row of `states` `[S, D]`. */
  logits(states: Float32Array, tokens: readonly number[], maxMs?: number): Promise<Float32Array[]>
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
  const updates = createPositionTimes()
  const reads = createPositionTimes()

  /** Reads the head at as many of the first positions of `data` `[S, D]` as `maxMs` allows. */
  async function read(
    data: Float32Array,
    maxMs: number | undefined,
    task: (first: Float32Array, count: number) => Promise<Readonly<Record<string, Tensor>>>,
  ) {
    const count = reads.fitting(data.length / hiddenSize, maxMs)
    const startedAt = performance.now()
    const outputs = await task(data.subarray(0, count * hiddenSize), count)
    reads.add(count, performance.now() - startedAt)
    return { outputs, count }
  }

  return {
    async ascend(whole, maxMs = Number.POSITIVE_INFINITY) {
      const startedAt = performance.now()
      const length = updates.fitting(whole.latents.length, maxMs)
      const request = length === whole.latents.length ? whole : partialUpdate(whole, 0, length)
      const { actions, maxSteps } = request
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
        updates.add(length, elapsedMs / steps)
      }
      return {
        latents: { ...request.latents, data: z },
        adam,
        steps,
        tokens: tokens ?? (await this.decode(request.latents)),
      }
    },
    async decode(latents, maxMs) {
      const { outputs } = await read(latents.data, maxMs, (first) =>
        sessions.logits.run(logitsFeeds(first, [0]), ['tokens']),
      )
      return Array.from(outputs['tokens']!.data as BigInt64Array, Number)
    },
    async sample(latents, uniforms, temperature, maxMs) {
      const { outputs, count } = await read(latents.data, maxMs, (first, positions) => {
        const rollouts = uniforms[0]?.length ?? 0
        const byRollout = Float32Array.from(
          { length: rollouts * positions },
          (_, index) => uniforms[index % positions]![Math.floor(index / positions)]!,
        )
        return sessions.logits.run(logitsFeeds(first, [0], { temperature, uniforms: byRollout }), ['samples'])
      })
      const samples = outputs['samples']!.data as BigInt64Array
      return Array.from({ length: count }, (_, position) =>
        Array.from({ length: samples.length / count }, (_, rollout) =>
          Number(samples[rollout * count + position]),
        ),
      )
    },
    async likelyTokens(latents, wanted, maxMs) {
      const { outputs, count } = await read(latents.data, maxMs, (first) =>
        sessions.logits.run(logitsFeeds(first, [0], { likely: wanted }), [
          'likely_tokens',
          'likely_probabilities',
        ]),
      )
      const tokens = outputs['likely_tokens']!.data as BigInt64Array
      const probabilities = outputs['likely_probabilities']!.data as Float32Array
      const found = tokens.length / count
      return Array.from({ length: count }, (_, position) =>
        Array.from({ length: found }, (_, rank) => ({
          token: Number(tokens[position * found + rank]),
          probability: probabilities[position * found + rank]!,
        })),
      )
    },
    async logits(states, tokens, maxMs) {
      const { outputs, count } = await read(states, maxMs, (first) =>
        sessions.logits.run(logitsFeeds(first, tokens), ['logits']),
      )
      const values = outputs['logits']!.data as Float32Array
      return Array.from({ length: count }, (_, row) =>
        values.slice(row * tokens.length, (row + 1) * tokens.length),
      )
    },
  }

  /**
   * Builds the feeds. Every input must be fed, even if the fetched output does not depend on it; empty
   * uniforms draw no samples, and `likely` 0 reads no most likely tokens.
   */
  function logitsFeeds(
    states: Float32Array,
    tokens: readonly number[],
    { temperature = 1, uniforms = new Float32Array(), likely = 0 } = {},
  ) {
    const rows = states.length / hiddenSize
    return {
      z: latentsTensor(states),
      token_ids: int64(tokens),
      temperature: float32(temperature),
      uniforms: createTensor('float32', [uniforms.length / rows, rows], uniforms),
      likely: int64([likely]),
    }
  }
}

/** Creates a forecast of how many positions fit into a time, from the last call of at least `MIN_HEAD_POSITIONS`. */
function createPositionTimes() {
  let msPerPosition = Number.POSITIVE_INFINITY
  return {
    fitting: (positions: number, maxMs = Number.POSITIVE_INFINITY) =>
      maxMs === Number.POSITIVE_INFINITY
        ? positions
        : Math.min(positions, Math.max(MIN_HEAD_POSITIONS, Math.floor(maxMs / msPerPosition))),
    add(positions: number, ms: number): void {
      if (positions >= MIN_HEAD_POSITIONS) msPerPosition = ms / positions
    },
  }
}
