/** @file A latent reward model from the artifact that holds it. */

import { type OpenRewardModel, openRewardModel } from '#algorithms'
import type { Artifact } from '#artifacts'
import { ServiceError } from '#errors'
import type { GraphRunner } from '#ports'

/**
 * Loads an artifact's bytes, for thoughts of the shape that its manifest tells.
 *
 * @throws ServiceError ARTIFACT_INVALID when it is no latent reward model, or a damaged one; ENGINE_CRASHED, ENGINE_UNAVAILABLE
 */
export async function openLrm(
  runner: GraphRunner,
  { version, features: { layers, width } }: Pick<Artifact, 'version' | 'features'>,
  bytes: Uint8Array,
): Promise<OpenRewardModel> {
  if (typeof layers !== 'number' || typeof width !== 'number') {
    throw new ServiceError(
      'ARTIFACT_INVALID',
      `open ${version}: expected layers and width among its features, got ${layers} and ${width}`,
    )
  }
  return openRewardModel(runner, bytes, { version, layers, width })
}
