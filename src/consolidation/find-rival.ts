/** @file What a candidate has to beat. */

import type { Artifact, ArtifactKind } from '#artifacts'
import { hasCode } from '#errors'
import type { Contestant } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { trainingOf } from './trainings.ts'

export interface Rival {
  /** What serves now; null when nothing does, or it has to go anyway. */
  readonly rival: Contestant | null
  /** Why that is no measure; goes with the verdict's reason. */
  readonly remark: string
}

/** What serves is no measure when it was trained on episodes that have been deleted since, or its bytes are damaged. */
export async function findRival(context: ConsolidationContext, kind: ArtifactKind): Promise<Rival> {
  const { [kind]: active } = await context.artifacts.active(context.consolidation.fingerprint)
  if (active === undefined) return { rival: null, remark: '' }
  if (active.stale) {
    return { rival: null, remark: `; ${active.version} knows deleted episodes and is no measure` }
  }
  try {
    return { rival: await withBytes(context, active), remark: '' }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return { rival: null, remark: `; ${active.version} is damaged and is no measure` }
  }
}

/** As `findRival`; what serves is no measure either when it is intact and does not load: a version of another release, say. */
export async function findRivalThatOpens(context: ConsolidationContext, kind: ArtifactKind): Promise<Rival> {
  const found = await findRival(context, kind)
  if (found.rival === null) return found
  try {
    const opened = await trainingOf(context, kind).open(context.runner, found.rival)
    await opened.close()
    return found
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return { rival: null, remark: `; ${found.rival.artifact.version} does not load and is no measure` }
  }
}

/** @throws ServiceError ARTIFACT_INVALID */
export async function withBytes(
  { artifacts }: Pick<ConsolidationContext, 'artifacts'>,
  artifact: Artifact,
): Promise<Contestant> {
  return { artifact, bytes: await artifacts.bytes(artifact.id) }
}
