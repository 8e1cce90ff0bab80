/** @file Retention of artifacts and consolidations: what no later consolidation and no operator can need. */

import { type Database, query } from '#database'

/**
 * Promoted versions of each kind and model that an operator can go back to, those that were rolled back included,
 * besides the active one and the anchor.
 */
const KEPT_PROMOTED = 5
/** Artifacts of one statement: each has up to 20,000 rows in `artifact_episodes`. */
const BATCH_ARTIFACTS = 5
const STEPS_TTL_MS = 7 * 24 * 3_600_000

/**
 * Rows are locked in the order of ids, as every change of versions does. A version that another transaction
 * activates meanwhile is active when its lock is free, and is then left out.
 */
const FORGET = `
  with forgotten as (
    select artifacts.id from artifacts
    where bytes is not null and not active and not anchor
      and not (status = 'candidate' and coalesce(passed, false))
      and consolidation_id in (select id from consolidations where finished_at is not null)
      and number not in (
        select kept.number from artifacts as kept
        where kept.fingerprint = artifacts.fingerprint and kept.kind = artifacts.kind
          and (kept.status = 'promoted' or kept.rolled_back_at is not null)
        order by kept.number desc limit $1
      )
      and number is distinct from (
        select max(judged.number) from artifacts as judged
        where judged.fingerprint = artifacts.fingerprint and judged.kind = artifacts.kind
          and judged.passed is not null
      )
    order by artifacts.id limit $2
    for update of artifacts
  ),
  unlisted as (
    delete from artifact_episodes where artifact_id in (select id from forgotten)
  )
  update artifacts set bytes = null where id in (select id from forgotten)`

/**
 * Deletes the bytes and the lists of episodes of the versions that are neither active nor anchor, do not wait for
 * their activation, and are neither among the last five promoted ones of their kind and model nor the one that was
 * judged last (which an operator may force), once their consolidation has ended. Their manifests, metrics and reasons
 * stay.
 * @returns the number of versions
 */
export async function pruneArtifacts(database: Pick<Database, 'pool'>): Promise<number> {
  let pruned = 0
  for (;;) {
    const { rowCount } = await query(database, 'prune artifacts', FORGET, [KEPT_PROMOTED, BATCH_ARTIFACTS])
    pruned += rowCount ?? 0
    if ((rowCount ?? 0) < BATCH_ARTIFACTS) return pruned
  }
}

/**
 * The next consolidation compares its snapshot with that of the last version of a kind, so the records of
 * that version's consolidation stay.
 */
const PRUNE_STEPS = `
  delete from consolidation_steps using consolidations
  where consolidations.id = consolidation_id and consolidation_steps.step <> 'report'
    and consolidations.finished_at < now() - $1 * interval '1 millisecond'
    and not exists (
      select from artifacts
      where artifacts.consolidation_id = consolidations.id and not exists (
        select from artifacts as later
        where later.fingerprint = artifacts.fingerprint and later.kind = artifacts.kind
          and later.number > artifacts.number
      )
    )`

/**
 * Deletes the records of steps of consolidations that ended more than a week ago, except their reports.
 * @returns the number of records
 */
export async function pruneSteps(database: Pick<Database, 'pool'>): Promise<number> {
  return (await query(database, 'prune steps', PRUNE_STEPS, [STEPS_TTL_MS])).rowCount ?? 0
}
