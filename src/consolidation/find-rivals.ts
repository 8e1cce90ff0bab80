/** @file The versions that a candidate is compared with: the active one (the incumbent) and the anchor. */

import type { Artifact, ArtifactKind } from '#artifacts'
import { hasCode } from '#errors'
import type { ActiveRewardModel, ArtifactBytes } from './artifact-training.ts'
import type { ConsolidationContext } from './context.ts'
import { nameOf, type SplitLookup } from './split-night.ts'
import { trainingOf } from './training-by-kind.ts'

export interface Rivals {
  /** Active version; null when there is none, or it cannot be loaded. */
  readonly incumbent: ArtifactBytes | null
  /** Anchor, when it is another version than the incumbent; null when there is none, or it cannot be loaded. */
  readonly anchor: ArtifactBytes | null
  /** Whether the kind has an anchor, whether it can be compared with or not. */
  readonly hasAnchor: boolean
  /** Id of the active version, whether it can be compared with or not; null for none. */
  readonly activeId: string | null
  /** Which versions are not compared with, and why, to append to the verdict's reason; empty for none. */
  readonly remark: string
}

/**
 * Returns the active version to continue training from. A stale version is null: the next one would carry on
 * what it has learned from erased episodes. So is a damaged one.
 */
export async function findWarmStart(
  context: ConsolidationContext,
  kind: ArtifactKind,
): Promise<ArtifactBytes | null> {
  const { [kind]: active } = await context.artifacts.active(context.consolidation.fingerprint)
  if (active === undefined || active.stale) return null
  try {
    return await withBytes(context, active)
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return null
  }
}

/**
 * Returns the versions to compare with. A stale version remains one: what it has learned must be replaced, but
 * its quality is still what callers have today. A version that is damaged or does not load is left out.
 */
export async function findRivals(context: ConsolidationContext, kind: ArtifactKind): Promise<Rivals> {
  const { fingerprint } = context.consolidation
  const { [kind]: active } = await context.artifacts.active(fingerprint)
  const { [kind]: anchor } = await context.artifacts.anchors(fingerprint)
  const incumbent = await loadable(context, active)
  const other = anchor?.id === active?.id ? NONE : await loadable(context, anchor)
  return {
    incumbent: incumbent.version,
    anchor: other.version,
    hasAnchor: anchor !== undefined,
    activeId: active?.id ?? null,
    remark: `${incumbent.remark}${other.remark}`,
  }
}

interface Found {
  readonly version: ArtifactBytes | null
  readonly remark: string
}

const NONE: Found = { version: null, remark: '' }

async function loadable(context: ConsolidationContext, artifact: Artifact | undefined): Promise<Found> {
  if (artifact === undefined) return NONE
  try {
    const version = await withBytes(context, artifact)
    const opened = await trainingOf(context, artifact.kind).open(context.runner, version)
    await opened.close()
    return { version, remark: '' }
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return {
      version: null,
      remark: `; not compared with ${artifact.version}: it is damaged or does not load`,
    }
  }
}

/** Reads the bytes of a version. @throws ServiceError ARTIFACT_INVALID when they are damaged */
export async function withBytes(
  { artifacts }: Pick<ConsolidationContext, 'artifacts'>,
  artifact: Artifact,
): Promise<ArtifactBytes> {
  return { artifact, bytes: await artifacts.bytes(artifact.id) }
}

/**
 * Returns the active latent reward model, stale or not: it is the one that serves. Null when there is none, or it is damaged.
 * The answers that calibrated a version of this consolidation count as not trained on: they chose its epoch, its form, one factor
 * and one offset.
 */
export async function findRewardModel(
  context: ConsolidationContext,
  split: SplitLookup,
): Promise<ActiveRewardModel | null> {
  const { artifacts, consolidation } = context
  const { lrm } = await artifacts.active(consolidation.fingerprint)
  const { version } = await loadable(context, lrm)
  if (version === null) return null
  const { episodes } = await artifacts.manifest(version.artifact.id)
  const isOfThisNight = version.artifact.consolidationId === consolidation.id
  const calibrated = new Set(isOfThisNight ? split.episodesOf('calibration').map(nameOf) : [])
  const trainedOn = new Set(episodes.map(nameOf).filter((name) => !calibrated.has(name)))
  return { ...version, trainedOn }
}

/** Returns the active fused judge, stale or not: it is the one that serves. Null when there is none, or it is damaged. */
export async function findFusedJudge(context: ConsolidationContext): Promise<ArtifactBytes | null> {
  const { judge } = await context.artifacts.active(context.consolidation.fingerprint)
  return (await loadable(context, judge)).version
}
