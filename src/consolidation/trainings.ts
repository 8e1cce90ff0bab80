/** @file The kinds of artifacts and how each is learned. */

import type { ArtifactKind } from '#artifacts'
import type { ArtifactTraining } from './artifact-training.ts'
import type { ConsolidationDeps } from './context.ts'
import { createRewardModelTraining } from './train-lrm.ts'
import { createWeaverTraining } from './train-weaver.ts'

/** How a kind is trained and judged. */
export function trainingOf(
  { lrm = {}, weaver = {} }: ConsolidationDeps,
  kind: ArtifactKind,
): ArtifactTraining {
  return kind === 'lrm' ? createRewardModelTraining(lrm) : createWeaverTraining(weaver)
}
