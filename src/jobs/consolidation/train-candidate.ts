/** @file The second step: a new version, kept as a candidate. */

import type { Artifact, ArtifactKind } from '#artifacts'
import type { HeldOutAnswer } from './artifact-training.ts'
import { type Night, type Skipped, trainingOf } from './night.ts'
import type { Snapshot } from './take-snapshot.ts'

/** A version that waits for the gate's word, and where it is to be judged. */
export interface Candidate {
  readonly artifact: Artifact
  readonly heldOut: readonly HeldOutAnswer[]
}

export interface TrainOptions {
  readonly snapshot: Snapshot
  readonly report: (share: number) => void
}

/** Trains on a snapshot. The store keeps one artifact for a consolidation and kind, however often this is run. */
export async function trainCandidate(
  night: Night,
  kind: ArtifactKind,
  { snapshot, report }: TrainOptions,
): Promise<Candidate | Skipped> {
  if (snapshot.skipped !== null) return { skipped: snapshot.skipped }
  const training = trainingOf(night, kind)
  if (training === null) return { skipped: `this version of the service cannot train a ${kind}` }
  const { consolidation, seed } = night
  const { id: consolidationId, fingerprint } = consolidation
  const trained = await training.train({ ...night, fingerprint, report }, snapshot.episodes)
  if ('skipped' in trained) return trained
  const artifact = await night.artifacts.add({
    consolidationId,
    manifest: { ...trained.manifest, kind, fingerprint, codeVersion: night.codeVersion, seed },
    bytes: trained.bytes,
    metrics: trained.metrics,
    baseline: {},
  })
  return { artifact, heldOut: trained.heldOut }
}
