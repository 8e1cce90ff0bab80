/** @file The shared half of the statements that read given episodes of one model, in the order given. */

import type { TrainingKey } from '../training-store.ts'

/**
 * The keys of `wantedValues` as rows `(tenant_id, episode_id, ordinal)`. The statement joins `episodes` to
 * them, compares `fingerprint` with `$1` and orders by `ordinal`; its own parameters start at `$4`.
 */
export const WANTED_EPISODES = `
  unnest($2::text[], $3::uuid[]) with ordinality as wanted (tenant_id, episode_id, ordinal)`

/** Returns the parameters `$1` to `$3`. */
export function wantedValues(fingerprint: string, episodes: readonly TrainingKey[]): unknown[] {
  return [fingerprint, episodes.map(({ tenantId }) => tenantId), episodes.map(({ episodeId }) => episodeId)]
}
