/** @file The models that a request is solved with: the active trained versions, or their stand-ins. */

import { identityWeaver } from '#algorithms'
import type { FusedJudge, LatentRewardModel, Weaver } from '#ports'

/**
 * Models of one request. Read once at its start and kept to its end, so that a swap never shows inside one
 * answer.
 */
export interface ActiveModels {
  readonly weaver: Weaver
  /** Null while no reward model is active. */
  readonly rewardModel: LatentRewardModel | null
  /** Null while no fused judge is active; null unless given. */
  readonly judge?: FusedJudge | null
}

/** Stand-ins used while no artifact is active: the identity weaver, no reward model and no fused judge. */
export const NO_TRAINED_MODELS: ActiveModels = { weaver: identityWeaver, rewardModel: null, judge: null }
