/** @file The third step, the gate: whether a candidate may serve. */

import type { Artifact } from '#artifacts'
import { coerceError, hasCode } from '#errors'
import type { Contestant, TrialVerdict } from './artifact-training.ts'
import { type Night, type Skipped, trainingOf } from './night.ts'
import type { Candidate } from './train-candidate.ts'

/**
 * Judges a candidate against what serves now. That is no rival where it has to go anyway: because it was trained on
 * episodes that have been deleted since, or because its bytes are damaged.
 */
export async function judgeCandidate(
  night: Night,
  candidate: Candidate | Skipped,
): Promise<TrialVerdict | Skipped> {
  if ('skipped' in candidate) return candidate
  const { artifact, heldOut } = candidate
  const { fingerprint } = night.consolidation
  const training = trainingOf(night, artifact.kind)
  if (training === null) return { skipped: `this version of the service cannot judge a ${artifact.kind}` }
  const { rival, remark } = await findRival(night, artifact)
  try {
    const contestant = await withBytes(night, artifact)
    const verdict = await training.judge({ ...night, fingerprint, candidate: contestant, rival, heldOut })
    return { ...verdict, reason: `${verdict.reason}${remark}` }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return { promoted: false, reason: coerceError(thrown).message, metrics: artifact.metrics, baseline: {} }
  }
}

interface Rival {
  readonly rival: Contestant | null
  /** Goes with the verdict's reason. */
  readonly remark: string
}

async function findRival(night: Night, { kind, fingerprint }: Artifact): Promise<Rival> {
  const { [kind]: active } = await night.artifacts.active(fingerprint)
  if (active === undefined) return { rival: null, remark: '' }
  if (active.stale) {
    return { rival: null, remark: `; ${active.version} knows deleted episodes and is no measure` }
  }
  try {
    return { rival: await withBytes(night, active), remark: '' }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return { rival: null, remark: `; ${active.version} is damaged and is no measure` }
  }
}

async function withBytes({ artifacts }: Night, artifact: Artifact): Promise<Contestant> {
  return { artifact, bytes: await artifacts.bytes(artifact.id) }
}
