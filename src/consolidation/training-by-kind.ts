/** @file The training of each kind of artifact. */

import type { ArtifactKind } from '#artifacts'
import type { ArtifactTraining } from './artifact-training.ts'
import type { ConsolidationDeps } from './context.ts'
import { JUDGE_TRAINING } from './judge-training.ts'
import { createRewardModelTraining } from './reward-model-training.ts'
import { createWeaverTraining } from './weaver-training.ts'

/** Returns the object that trains and judges a kind. */
export function trainingOf(
  { rewardModel = {}, weaver = {} }: ConsolidationDeps,
  kind: ArtifactKind,
): ArtifactTraining {
  if (kind === 'judge') return JUDGE_TRAINING
  return kind === 'lrm' ? createRewardModelTraining(rewardModel) : createWeaverTraining(weaver)
}
