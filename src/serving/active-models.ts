/** @file What nights have taught: the trained models that serve now, or their stand-ins. */

import { identityWeaver } from '#algorithms'
import type { LatentRewardModel, Weaver } from '#ports'

/** Taken once at the start of a request and kept to its end, so that a swap never shows inside one answer. */
export interface ActiveModels {
  readonly weaver: Weaver
  readonly rewardModel: LatentRewardModel | null
}

export const NO_TRAINED_MODELS: ActiveModels = { weaver: identityWeaver, rewardModel: null }
