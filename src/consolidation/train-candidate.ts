/** @file The second step: a new version, kept as a candidate. */

import type { Artifact, ArtifactKind } from '#artifacts'
import type { HeldOutAnswer, Trained } from './artifact-training.ts'
import type { ConsolidationContext, Skipped } from './context.ts'
import { findIncumbent } from './find-incumbent.ts'
import type { Snapshot } from './take-snapshot.ts'
import { trainingOf } from './training-by-kind.ts'

/** A version that waits for the gate's word, where it is to be judged, and how it came about. */
export interface Candidate extends Pick<Trained, 'losses' | 'rejected'> {
  readonly artifact: Artifact
  readonly heldOut: readonly HeldOutAnswer[]
  /** The most memory that the training process has had in use until then; null when none was needed. */
  readonly trainerPeakBytes: number | null
}

export interface TrainOptions {
  readonly snapshot: Snapshot
  readonly report: (share: number) => void
}

/** Trains on a snapshot. The store keeps one artifact for a consolidation and kind, however often this is run. */
export async function trainCandidate(
  context: ConsolidationContext,
  kind: ArtifactKind,
  { snapshot, report }: TrainOptions,
): Promise<Candidate | Skipped> {
  if (snapshot.skipped !== null) return { skipped: snapshot.skipped }
  const { consolidation, seed } = context
  const { id: consolidationId, fingerprint } = consolidation
  const { incumbent: active } = await findIncumbent(context, kind)
  const training = { ...context, fingerprint, report, active }
  const trained = await trainingOf(context, kind).train(training, snapshot.episodes)
  if ('skipped' in trained) return trained
  const artifact = await context.artifacts.add({
    consolidationId,
    manifest: { ...trained.manifest, kind, fingerprint, codeVersion: context.codeVersion, seed },
    bytes: trained.bytes,
    metrics: trained.metrics,
    baseline: {},
  })
  const { heldOut, losses, rejected } = trained
  return { artifact, heldOut, losses, rejected, trainerPeakBytes: await context.runner.peakMemoryBytes() }
}
