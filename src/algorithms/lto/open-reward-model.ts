/** @file A trained latent reward model, ready to score. */

import { ServiceError } from '#errors'
import type { GraphRunner, LatentRewardModel, LoadedGraph } from '#ports'
import { loadVerified } from '../training/load-verified.ts'
import { scoreThoughts } from './score-thoughts.ts'
import { stackThoughts } from './standardise.ts'

export interface OpenRewardModel extends LatentRewardModel {
  /** Idempotent. */
  close(): Promise<void>
}

export interface RewardModelIdentity {
  readonly version: string
  /** Shape of the thoughts it was trained on: most states L + 1, and their width D. */
  readonly layers: number
  readonly width: number
}

/**
 * Loads the file that training made, and scores one thought with it before anybody relies on it.
 *
 * Its `score` refuses a thought of another shape with SHAPE_MISMATCH, and ends in ARTIFACT_INVALID for a thought that is not finite
 * or a score that is no probability.
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged, or no reward model for thoughts of this shape. What the engine
 *   process does wrong (ENGINE_CRASHED, ENGINE_UNAVAILABLE) passes as it is.
 */
export async function openRewardModel(
  runner: GraphRunner,
  bytes: Uint8Array,
  { version, layers, width }: RewardModelIdentity,
): Promise<OpenRewardModel> {
  const invalid = (got: string, cause?: unknown) =>
    new ServiceError('ARTIFACT_INVALID', `reward model ${version}: expected ${got}`, { cause })
  const score = async (graph: LoadedGraph, thoughts: Parameters<LatentRewardModel['score']>[0]) => {
    if (thoughts.length === 0) return []
    const stacked = stackThoughts(thoughts, layers, width)
    const scores = await scoreThoughts(graph, stacked, 'probability')
    const odd = scores.find((probability) => !(probability >= 0 && probability <= 1))
    if (scores.length === thoughts.length && odd === undefined) return scores
    throw invalid(`${thoughts.length} probabilities, got ${odd ?? scores.length}`)
  }
  // Ones, not zeros: a thought of zeros is no thought.
  const ones = { data: new Float32Array(layers * width).fill(1), layers, width }
  const graph = await loadVerified(
    runner,
    bytes,
    (loaded) => score(loaded, [ones]),
    (cause) =>
      invalid(`a graph from thoughts [N, ${layers}, ${width}] to probabilities, got one that fails`, cause),
  )
  return { version, score: (thoughts) => score(graph, thoughts), close: () => graph.close() }
}
