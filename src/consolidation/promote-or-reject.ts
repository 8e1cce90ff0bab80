/** @file The fourth step: the gate's word becomes what serves. */

import type { ArtifactKind, ConsolidatedArtifact } from '#artifacts'
import type { TrialVerdict } from './artifact-training.ts'
import type { ConsolidationContext, Skipped } from './context.ts'
import type { Candidate } from './train-candidate.ts'

export interface PromotionInput {
  readonly candidate: Candidate | Skipped
  readonly verdict: TrialVerdict | Skipped
}

/** Promotes or rejects a candidate; what was promoted serves from here on. Saying it again changes nothing. */
export async function promoteOrReject(
  { artifacts }: ConsolidationContext,
  kind: ArtifactKind,
  { candidate, verdict }: PromotionInput,
): Promise<ConsolidatedArtifact> {
  if ('skipped' in candidate || 'skipped' in verdict) {
    const reason = 'skipped' in candidate ? candidate.skipped : 'skipped' in verdict ? verdict.skipped : null
    return { kind, version: null, status: 'skipped', reason, metrics: {}, baseline: {} }
  }
  const { version, status, reason, metrics, baseline } = await artifacts.settle(
    candidate.artifact.id,
    verdict,
  )
  return { kind, version, status: status === 'promoted' ? 'promoted' : 'rejected', reason, metrics, baseline }
}
