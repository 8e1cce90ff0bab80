/** @file What a candidate has to beat. */

import type { Artifact, ArtifactKind } from '#artifacts'
import { hasCode } from '#errors'
import type { ArtifactBytes } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { trainingOf } from './training-by-kind.ts'

export interface Incumbent {
  /** What serves now; null when nothing does, or it has to go anyway. */
  readonly incumbent: ArtifactBytes | null
  /** Why that is no measure; goes with the verdict's reason. */
  readonly remark: string
}

/** What serves is no measure when it was trained on episodes that have been deleted since, or its bytes are damaged. */
export async function findIncumbent(context: ConsolidationContext, kind: ArtifactKind): Promise<Incumbent> {
  const { [kind]: active } = await context.artifacts.active(context.consolidation.fingerprint)
  if (active === undefined) return { incumbent: null, remark: '' }
  if (active.stale) {
    return { incumbent: null, remark: `; ${active.version} knows deleted episodes and is no measure` }
  }
  try {
    return { incumbent: await withBytes(context, active), remark: '' }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return { incumbent: null, remark: `; ${active.version} is damaged and is no measure` }
  }
}

/** As `findIncumbent`; what serves is no measure either when it is intact and does not load: a version of another release, say. */
export async function findLoadableIncumbent(
  context: ConsolidationContext,
  kind: ArtifactKind,
): Promise<Incumbent> {
  const found = await findIncumbent(context, kind)
  if (found.incumbent === null) return found
  try {
    const opened = await trainingOf(context, kind).open(context.runner, found.incumbent)
    await opened.close()
    return found
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return {
      incumbent: null,
      remark: `; ${found.incumbent.artifact.version} does not load and is no measure`,
    }
  }
}

/** @throws ServiceError ARTIFACT_INVALID */
export async function withBytes(
  { artifacts }: Pick<ConsolidationContext, 'artifacts'>,
  artifact: Artifact,
): Promise<ArtifactBytes> {
  return { artifact, bytes: await artifacts.bytes(artifact.id) }
}
