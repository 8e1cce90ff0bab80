/** @file Loads a trained latent reward model of any form. */

import { hasCode, ServiceError } from '#errors'
import type { GraphRunner, LatentRewardModel, LatentThought, LoadedGraph, TokenMaps } from '#ports'
import { loadVerified } from '../training/load-verified.ts'
import { readGatedModel, sumsOf } from './forms/gated.ts'
import type { FormName } from './forms/reward-form.ts'
import { REWARD_FORMS } from './forms/reward-forms.ts'
import { scoreThoughts } from './score-thoughts.ts'
import { type StateRows, stackThoughts } from './standardise.ts'

/** Loaded latent reward model. */
export interface OpenRewardModel extends LatentRewardModel {
  /** Unloads the graph. Idempotent. */
  close(): Promise<void>
}

/** Version of a reward model, and the shape of the states that it was trained on. */
export interface RewardModelIdentity {
  readonly version: string
  readonly form: FormName
  /**
   * Of `mean` L + 1, the most states that a thought may have (shorter thoughts are padded); of the others K, the
   * number of scored layers.
   */
  readonly layers: number
  /** D: width of a state. */
  readonly width: number
}

/** Largest difference, in probability, between a graph of the form `gated` and the maps that serve in its place. */
const MAX_GATED_DIFFERENCE = 1e-2

/**
 * Loads the bytes that training produced, and scores one thought as a check.
 *
 * `score` of the result throws SHAPE_MISMATCH for a thought of another shape or without the states of its form,
 * and ARTIFACT_INVALID for a thought that is not finite or a score outside [0, 1].
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged, or are not a reward model for states of this
 *   shape; ENGINE_CRASHED and ENGINE_UNAVAILABLE of the engine process, unchanged.
 */
export async function openRewardModel(
  runner: GraphRunner,
  bytes: Uint8Array,
  identity: RewardModelIdentity,
): Promise<OpenRewardModel> {
  return identity.form === 'gated' ? openGated(runner, bytes, identity) : openGraph(runner, bytes, identity)
}

async function openGraph(
  runner: GraphRunner,
  bytes: Uint8Array,
  identity: RewardModelIdentity,
): Promise<OpenRewardModel> {
  const { version, form, layers, width } = identity
  const score = async (graph: LoadedGraph, inputs: readonly StateRows[]) => {
    if (inputs.length === 0) return []
    const scores = await scoreThoughts(graph, stackThoughts(inputs, layers, width), 'probability')
    return checked(scores, inputs.length, version)
  }
  // Ones, not zeros: states of zeros are padding.
  const ones = { data: new Float32Array(layers * width).fill(1), layers, width }
  const graph = await loadVerified(
    runner,
    bytes,
    (loaded) => score(loaded, [ones]),
    (cause) =>
      invalid(
        version,
        `a graph from thoughts [N, ${layers}, ${width}] to probabilities, got one that fails`,
        cause,
      ),
  )
  return {
    version,
    score: async (thoughts) =>
      score(
        graph,
        thoughts.map((thought) => inputOf(thought, form)),
      ),
    close: () => graph.close(),
  }
}

/**
 * The graph of the form `gated` reads states of tokens, which stay in the engine: it is run once, to check the maps
 * that serve in its place.
 */
async function openGated(
  runner: GraphRunner,
  bytes: Uint8Array,
  { version, layers, width }: RewardModelIdentity,
): Promise<OpenRewardModel> {
  const tokenWidth = layers * width
  const expected = `maps of ${tokenWidth} states that agree with their graph`
  const model = readMaps(bytes, version, tokenWidth)
  if (model === null) throw invalid(version, `${expected}, got none`)
  const ones = { data: new Float32Array(tokenWidth).fill(1), layers: 1, width: tokenWidth }
  const graph = await loadVerified(
    runner,
    bytes,
    async (loaded) => {
      const scores = await scoreThoughts(loaded, stackThoughts([ones], 1, tokenWidth), 'probability')
      const [byGraph] = checked(scores, 1, version)
      const byMaps = model.probability(sumsOf(model.maps, ones.data))
      if (Math.abs(byGraph! - byMaps) <= MAX_GATED_DIFFERENCE) return
      throw invalid(version, `${expected}, got ${byMaps} in place of ${byGraph}`)
    },
    (cause) => invalid(version, `${expected}, got a graph that fails`, cause),
  )
  await graph.close()
  return {
    version,
    tokenMaps: model.maps,
    score: async (thoughts) => {
      const sums = thoughts.map(({ gated }) => gated ?? missing('gated'))
      return checked(sums.map(model.probability), thoughts.length, version)
    },
    close: async () => {},
  }
}

/**
 * Returns the maps by which the engine scores tokens for a reward model; null for a form that needs none.
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes hold no maps of this shape
 */
export function tokenMapsOf(
  bytes: Uint8Array,
  { version, form, layers, width }: RewardModelIdentity,
): TokenMaps | null {
  if (form !== 'gated') return null
  const model = readMaps(bytes, version, layers * width)
  if (model !== null) return model.maps
  throw invalid(version, `maps of ${layers * width} states, got none`)
}

function readMaps(bytes: Uint8Array, version: string, width: number) {
  try {
    return readGatedModel(bytes, version, width)
  } catch (error) {
    if (!hasCode(error, 'ONNX_INVALID') && !hasCode(error, 'MODEL_UNSUPPORTED')) throw error
    throw invalid(version, 'an ONNX file, got none', error)
  }
}

function inputOf(thought: LatentThought, form: FormName): StateRows {
  return REWARD_FORMS[form].inputOf(thought) ?? missing(form)
}

function missing(form: FormName): never {
  throw new ServiceError('SHAPE_MISMATCH', `thoughts: expected states for the form ${form}, got none`)
}

function checked(scores: readonly number[], count: number, version: string): readonly number[] {
  const odd = scores.find((probability) => !(probability >= 0 && probability <= 1))
  if (scores.length === count && odd === undefined) return scores
  throw invalid(version, `${count} probabilities, got ${odd ?? scores.length}`)
}

function invalid(version: string, expected: string, cause?: unknown): ServiceError {
  return new ServiceError('ARTIFACT_INVALID', `reward model ${version}: expected ${expected}`, { cause })
}
