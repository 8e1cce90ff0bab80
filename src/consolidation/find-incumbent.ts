/** @file The incumbent: the active version that a candidate is compared with. */

import type { Artifact, ArtifactKind } from '#artifacts'
import { hasCode } from '#errors'
import type { ArtifactBytes } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { trainingOf } from './training-by-kind.ts'

export interface Incumbent {
  /** Active version; null when there is none, or it is ignored. */
  readonly incumbent: ArtifactBytes | null
  /** Why an active version is ignored, to append to the verdict's reason; empty when it is not. */
  readonly remark: string
}

/**
 * Returns the active version of a kind. Ignores a version that has to be replaced in any case: it was trained
 * on episodes deleted since, or its bytes are damaged.
 */
export async function findIncumbent(context: ConsolidationContext, kind: ArtifactKind): Promise<Incumbent> {
  const { [kind]: active } = await context.artifacts.active(context.consolidation.fingerprint)
  if (active === undefined) return { incumbent: null, remark: '' }
  if (active.stale) return ignored(active, 'it was trained on episodes deleted since')
  try {
    return { incumbent: await withBytes(context, active), remark: '' }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return ignored(active, 'it is damaged')
  }
}

/**
 * Like `findIncumbent`, but also ignores an intact version that cannot be loaded, e.g. one written by another
 * release.
 */
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
    return ignored(found.incumbent.artifact, 'it does not load')
  }
}

function ignored({ version }: Artifact, why: string): Incumbent {
  return { incumbent: null, remark: `; not compared with ${version}: ${why}` }
}

/** Reads the bytes of a version. @throws ServiceError ARTIFACT_INVALID when they are damaged */
export async function withBytes(
  { artifacts }: Pick<ConsolidationContext, 'artifacts'>,
  artifact: Artifact,
): Promise<ArtifactBytes> {
  return { artifact, bytes: await artifacts.bytes(artifact.id) }
}
