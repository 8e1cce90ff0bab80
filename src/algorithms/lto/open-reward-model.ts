/** @file Loads a trained latent reward model. */

import { ServiceError } from '#errors'
import type { GraphRunner, LatentRewardModel, LoadedGraph } from '#ports'
import { loadVerified } from '../training/load-verified.ts'
import { scoreThoughts } from './score-thoughts.ts'
import { stackThoughts } from './standardise.ts'

/** Loaded latent reward model. */
export interface OpenRewardModel extends LatentRewardModel {
  /** Unloads the graph. Idempotent. */
  close(): Promise<void>
}

/** Version of a reward model, and the shape of the thoughts that it was trained on. */
interface RewardModelIdentity {
  readonly version: string
  /** L + 1: the most states that a thought may have; shorter thoughts are padded. */
  readonly layers: number
  /** D: width of a state. */
  readonly width: number
}

/**
 * Loads the bytes that training produced, and scores one thought as a check.
 *
 * `score` of the result throws SHAPE_MISMATCH for a thought of another shape, and ARTIFACT_INVALID for a
 * thought that is not finite or a score outside [0, 1].
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged, or are not a reward model for thoughts
 *   of this shape; ENGINE_CRASHED and ENGINE_UNAVAILABLE of the engine process, unchanged.
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
  // Ones, not zeros: states of zeros are padding.
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
