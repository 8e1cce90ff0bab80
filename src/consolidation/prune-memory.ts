/** @file What has taught its lesson stops steering. */

import type { ArtifactKind } from '#artifacts'
import type { ConsolidationContext } from './context.ts'
import type { Snapshot } from './take-snapshot.ts'

export interface Pruned {
  /** Episodes that stopped steering: dominated near-duplicates. */
  readonly retired: number
}

/**
 * Ends the influence of dominated near-duplicates among the newest episodes of every tenant that this consolidation has learned from. Run
 * again after its worker died in it, it counts only what was left to do.
 */
export async function pruneMemory(
  { training, consolidation: { fingerprint, kinds } }: ConsolidationContext,
  snapshotOf: (kind: ArtifactKind) => Snapshot,
): Promise<Pruned> {
  const tenants = new Set(kinds.flatMap((kind) => snapshotOf(kind).episodes.map(({ tenantId }) => tenantId)))
  return { retired: await training.excludeDominated(fingerprint, [...tenants].sort()) }
}
