/** @file The step `train`: trains a new version on a snapshot and stores it as a candidate. */

import type { Artifact, ArtifactKind } from '#artifacts'
import type { HeldOutAnswer, Trained } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { findRewardModel, findWarmStart } from './find-rivals.ts'
import { type NightSplit, openSplit } from './split-night.ts'
import type { Skipped } from './steps.ts'
import type { Snapshot } from './take-snapshot.ts'
import { trainingOf } from './training-by-kind.ts'

/** A stored version that the gate has not judged yet, with the figures of its training. */
export interface Candidate extends Pick<Trained, 'losses' | 'weights' | 'policy' | 'rejected'> {
  readonly artifact: Artifact
  /** Held-out examples that the gate judges it on: the episode of each, and the position of a single answer in it. */
  readonly heldOut: readonly HeldOutAnswer[]
  /** Locked examples: no training and no gate reads them. */
  readonly locked: readonly HeldOutAnswer[]
  /** Peak memory of the training process so far, in bytes; null when it was not started. */
  readonly trainerPeakBytes: number | null
}

export interface TrainOptions {
  readonly snapshot: Snapshot
  readonly split: NightSplit
  readonly report: (share: number) => void
}

/** Trains on a snapshot. Idempotent: the store keeps one artifact for each consolidation and kind. */
export async function trainCandidate(
  context: ConsolidationContext,
  kind: ArtifactKind,
  { snapshot, split, report }: TrainOptions,
): Promise<Candidate | Skipped> {
  if (snapshot.skipped !== null) return { skipped: snapshot.skipped }
  const { consolidation, seed } = context
  const { id: consolidationId, fingerprint } = consolidation
  const active = await findWarmStart(context, kind)
  const lookup = openSplit(split)
  const rewardModel = () => findRewardModel(context, lookup)
  const training = { ...context, fingerprint, split: lookup, report, active, rewardModel }
  const trained = await trainingOf(context, kind).train(training, snapshot.episodes)
  if ('skipped' in trained) return trained
  const artifact = await context.artifacts.add({
    consolidationId,
    manifest: { ...trained.manifest, kind, fingerprint, codeVersion: context.codeVersion, seed },
    bytes: trained.bytes,
    metrics: trained.metrics,
    baseline: {},
  })
  const { heldOut, locked, losses, weights, policy = [], rejected } = trained
  return {
    artifact,
    heldOut,
    locked,
    losses,
    ...(weights !== undefined && { weights }),
    ...(policy.length > 0 && { policy }),
    rejected,
    trainerPeakBytes: await context.runner.peakMemoryBytes(),
  }
}
