/** @file The step `gate`: decides whether a candidate is promoted. */

import { coerceError, hasCode } from '#errors'
import type { TrialVerdict } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { findLoadableIncumbent, withBytes } from './find-incumbent.ts'
import type { Skipped } from './steps.ts'
import type { Candidate } from './train-candidate.ts'
import { trainingOf } from './training-by-kind.ts'

/**
 * Judges a candidate against the active version, if that one may be compared with (see
 * `findLoadableIncumbent`). Rejects a candidate whose own bytes are damaged or do not load.
 */
export async function judgeCandidate(
  context: ConsolidationContext,
  candidate: Candidate | Skipped,
  report: (share: number) => void,
): Promise<TrialVerdict | Skipped> {
  if ('skipped' in candidate) return candidate
  const { artifact, heldOut } = candidate
  const { fingerprint } = context.consolidation
  const { incumbent, remark } = await findLoadableIncumbent(context, artifact.kind)
  try {
    const candidateBytes = await withBytes(context, artifact)
    const options = { ...context, fingerprint, candidate: candidateBytes, incumbent, heldOut, report }
    const verdict = await trainingOf(context, artifact.kind).judge(options)
    return { ...verdict, reason: `${verdict.reason}${remark}` }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return { promoted: false, reason: coerceError(thrown).message, metrics: artifact.metrics, baseline: {} }
  }
}
