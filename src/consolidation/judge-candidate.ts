/** @file The step `gate`: decides whether a candidate is promoted. */

import { coerceError, hasCode } from '#errors'
import type { TrialVerdict } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { findFusedJudge, findRewardModel, findRivals, withBytes } from './find-rivals.ts'
import { recordOnce } from './record-steps.ts'
import { EMPTY_SPLIT, openSplit } from './split-night.ts'
import { recordName, type Skipped } from './steps.ts'
import type { Candidate } from './train-candidate.ts'
import { trainingOf } from './training-by-kind.ts'

/** Verdict with the id of the version that was active; null for none. */
export interface ComparedVerdict extends TrialVerdict {
  readonly comparedWith: string | null
}

/**
 * Judges a candidate against the active version and the anchor (see `findRivals`). Rejects a candidate whose
 * own bytes are damaged or do not load.
 */
export async function judgeCandidate(
  context: ConsolidationContext,
  candidate: Candidate | Skipped,
  report: (share: number) => void,
): Promise<ComparedVerdict | Skipped> {
  if ('skipped' in candidate) return candidate
  const { artifact, heldOut, locked } = candidate
  const { kind } = artifact
  const { consolidations, consolidation } = context
  const { id, fingerprint } = consolidation
  const { remark, activeId: comparedWith, ...rivals } = await findRivals(context, kind)
  try {
    const verdict = await trainingOf(context, kind).judge({
      ...context,
      ...rivals,
      rewardModel: () => findRewardModel(context, openSplit(EMPTY_SPLIT)),
      fusedJudge: () => findFusedJudge(context),
      fingerprint,
      candidate: await withBytes(context, artifact),
      heldOut,
      locked,
      recorded: (part, work) =>
        recordOnce(consolidations, { id, record: `${recordName('gate', kind)}.${part}` }, work),
      report,
    })
    return { ...verdict, comparedWith, reason: `${verdict.reason}${remark}` }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    const reason = coerceError(thrown).message
    return { promoted: false, isAnchor: false, comparedWith, reason, metrics: artifact.metrics, baseline: {} }
  }
}
