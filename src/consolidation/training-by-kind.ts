/** @file The kinds of artifacts and how each is learned. */

import type { ArtifactKind } from '#artifacts'
import type { ArtifactTraining } from './artifact-training.ts'
import type { ConsolidationDeps } from './context.ts'
import { createRewardModelTraining } from './reward-model-training.ts'
import { createWeaverTraining } from './weaver-training.ts'

/** How a kind is trained and judged. */
export function trainingOf(
  { rewardModel = {}, weaver = {} }: ConsolidationDeps,
  kind: ArtifactKind,
): ArtifactTraining {
  return kind === 'lrm' ? createRewardModelTraining(rewardModel) : createWeaverTraining(weaver)
}
