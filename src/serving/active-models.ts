/** @file The two models that a request is solved with: the active trained versions, or their stand-ins. */

import { identityWeaver } from '#algorithms'
import type { LatentRewardModel, Weaver } from '#ports'

/**
 * Models of one request. Read once at its start and kept to its end, so that a swap never shows inside one
 * answer.
 */
export interface ActiveModels {
  readonly weaver: Weaver
  /** Null while no reward model is active. */
  readonly rewardModel: LatentRewardModel | null
}

/** Stand-ins used while no artifact is active: the identity weaver and no reward model. */
export const NO_TRAINED_MODELS: ActiveModels = { weaver: identityWeaver, rewardModel: null }
