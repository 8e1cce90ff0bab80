/** @file A weaver from the artifact that holds it. */

import { type OpenWeaver, openWeaver } from '#algorithms'
import type { Artifact } from '#artifacts'
import { ServiceError } from '#errors'
import type { GraphRunner } from '#ports'

/**
 * Loads an artifact's bytes, for latents of the shape that its manifest tells.
 *
 * @throws ServiceError ARTIFACT_INVALID when it is no weaver, or a damaged one; ENGINE_CRASHED, ENGINE_UNAVAILABLE
 */
export async function openWeaverArtifact(
  runner: GraphRunner,
  { version, features: { latents, width } }: Pick<Artifact, 'version' | 'features'>,
  bytes: Uint8Array,
): Promise<OpenWeaver> {
  if (typeof latents !== 'number' || typeof width !== 'number') {
    throw new ServiceError(
      'ARTIFACT_INVALID',
      `open ${version}: expected latents and width among its features, got ${latents} and ${width}`,
    )
  }
  return openWeaver(runner, bytes, { version, latents, width })
}
