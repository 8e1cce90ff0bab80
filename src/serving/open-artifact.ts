/** @file Loads a trained model from an artifact's bytes, for the sizes that its manifest states. */

import {
  type FormName,
  formNamed,
  type OpenRewardModel,
  type OpenWeaver,
  openFusedJudge,
  openRewardModel,
  openWeaver,
  type RewardModelIdentity,
} from '#algorithms'
import type { Artifact } from '#artifacts'
import { ServiceError } from '#errors'
import type { FusedJudge, GraphRunner } from '#ports'

/** The parts of an artifact's manifest that loading reads. */
type Manifested = Pick<Artifact, 'version' | 'features'>

/**
 * Loads a latent reward model of `features.form` for states of `features.layers` by `features.width`.
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged or hold no latent reward model;
 *   ENGINE_CRASHED, ENGINE_UNAVAILABLE
 */
export async function openRewardModelArtifact(
  runner: GraphRunner,
  artifact: Manifested,
  bytes: Uint8Array,
): Promise<OpenRewardModel> {
  return openRewardModel(runner, bytes, rewardModelSizes(artifact))
}

/**
 * Returns the version of a latent reward model, its form, and the shape of its states.
 *
 * @throws ServiceError ARTIFACT_INVALID when its manifest does not state them, or names a form of a later release
 */
export function rewardModelSizes(artifact: Manifested): RewardModelIdentity {
  return {
    version: artifact.version,
    form: rewardModelForm(artifact),
    layers: size(artifact, 'layers'),
    width: size(artifact, 'width'),
  }
}

/** @throws ServiceError ARTIFACT_INVALID for a form that this release does not have */
export function rewardModelForm({ version, features }: Manifested): FormName {
  const form = formNamed(features['form'])
  if (form !== null) return form
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `open ${version}: expected a known form, got ${features['form']}`,
  )
}

/**
 * Loads a weaver for `features.latents` latents of `features.width`.
 *
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged or hold no weaver; ENGINE_CRASHED,
 *   ENGINE_UNAVAILABLE
 */
export async function openWeaverArtifact(
  runner: GraphRunner,
  artifact: Manifested,
  bytes: Uint8Array,
): Promise<OpenWeaver> {
  const [latents, width] = [size(artifact, 'latents'), size(artifact, 'width')]
  return openWeaver(runner, bytes, { version: artifact.version, latents, width })
}

/**
 * Loads a fused judge.
 *
 * @param judgeFingerprint of the model's profile: rewards and verdicts of another one do not compare with those that the version was
 *   fitted to
 * @throws ServiceError ARTIFACT_INVALID when the bytes are damaged, or the version was fitted under another judge
 */
export function openJudgeArtifact(
  { version, features }: Manifested,
  bytes: Uint8Array,
  judgeFingerprint: string,
): FusedJudge {
  const fitted = features['judgeFingerprint']
  if (fitted === judgeFingerprint) return openFusedJudge(version, bytes)
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `open ${version}: expected answers of the judge ${judgeFingerprint}, got a fit to those of ${fitted}`,
  )
}

function size({ version, features }: Manifested, name: string): number {
  const value = features[name]
  if (typeof value === 'number') return value
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `open ${version}: expected the feature ${name} to be a number, got ${value}`,
  )
}
