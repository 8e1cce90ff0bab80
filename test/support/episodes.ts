/** @file Episodes for tests, made from a seed. */

import { randomUUID } from 'node:crypto'
import type { Candidate, NewEpisode } from '#episodes'
import type { LatentThought, PackedRows } from '#ports'
import { createRandom, norm, toFloat16 } from '#tensor'

/** Returns a unit vector `[D]`. */
export function unitVector(seed: number, width: number, stream = 0): Float32Array {
  const random = createRandom(seed, stream)
  const vector = Float32Array.from({ length: width }, () => random.uniform() * 2 - 1)
  const length = norm(vector)
  return vector.map((value) => value / length)
}

/** Returns a unit vector `[D]`; six vectors in a row, from a multiple of six on, have cosines of about .67. */
export function clusteredVector(index: number, width: number): Float32Array {
  const [centre, noise] = [unitVector(Math.floor(index / 6), width, 1), unitVector(index, width, 2)]
  const moved = centre.map((value, at) => value + 0.7 * noise[at]!)
  const length = norm(moved)
  return moved.map((value) => value / length)
}

/** Returns a thought of 3 states, 8 wide. */
export function thoughtOf(seed: number): LatentThought {
  return { data: unitVector(seed, 24, 3), layers: 3, width: 8 }
}

/** Returns numbers in the stored form. */
export function packed(data: Float32Array, rows: number): PackedRows {
  const { buffer } = toFloat16(data)
  return { bytes: new Uint8Array(buffer), rows, width: data.length / rows }
}

export function newCandidate(over: Partial<Candidate> = {}): Candidate {
  return {
    kind: 'draft',
    tokens: [5, 6, 7],
    text: 'So the answer is 12.',
    answer: '12',
    reward: -0.125,
    rewardTerms: { verifier: -0.125, 'verifier.correctness': -0.1 },
    logProbability: -0.1,
    selfCertainty: 12,
    chosen: true,
    meetsAdmission: true,
    thought: null,
    ...over,
  }
}

/** Returns an admitted episode with latents; `seed` determines embedding and latents. */
export function newEpisode(over: Partial<NewEpisode> = {}): NewEpisode {
  const seed = over.seed ?? 1
  return {
    id: randomUUID(),
    tenantId: 'tenant-a',
    fingerprint: 'model-1',
    judgeFingerprint: 'judge-1',
    answerRules: 'answers-1',
    modelId: 'order-of-operations',
    strategy: 'latentseek',
    question: 'What is 3 x 4?',
    reference: null,
    embedding: unitVector(seed, 8),
    answer: '12',
    reasoning: 'So the answer is 12.',
    reward: -0.125,
    baseReward: -0.75,
    iterations: 2,
    evaluations: 1,
    generatedTokens: 64,
    stopped: 'reward',
    seed,
    admitted: true,
    candidates: [newCandidate()],
    latents: {
      zBase: { data: unitVector(seed, 24, 1), length: 3, width: 8 },
      zStar: { data: unitVector(seed, 24, 2), length: 3, width: 8 },
    },
    ...over,
  }
}
