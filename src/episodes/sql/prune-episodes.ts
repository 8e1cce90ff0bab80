import { type Database, query, transaction } from '#database'
import { KEPT, KEPT_OF_TENANT } from './kept-episodes.ts'
import { lockSteering } from './relabel-candidates.ts'

/** Hidden episodes are erased, not expired. */
const OLDEST = `
  select tenant_id from episodes where created_at < $1 and ${KEPT} order by created_at limit 1`

/** Deletes one batch of a tenant, so that no statement locks many rows for long. */
const SQL = `
  delete from episodes
  where tenant_id = $1 and id in (
    select id from episodes where tenant_id = $1 and created_at < $2 and ${KEPT_OF_TENANT}
    order by created_at limit $3
  )`

const BATCH_EPISODES = 500

/**
 * Deletes the episodes of all tenants that are older than `before`. Artifacts that were trained on them count
 * them as expired. @returns the number of deleted episodes
 */
export async function pruneEpisodes(database: Pick<Database, 'pool'>, before: Date): Promise<number> {
  let pruned = 0
  for (;;) {
    const { rows } = await query<{ tenant_id: string }>(database, 'find old episodes', OLDEST, [before])
    if (rows[0] === undefined) return pruned
    pruned += await deleteExpired(database, SQL, [rows[0].tenant_id, before, BATCH_EPISODES])
  }
}

/** Setting that the trigger on `episodes` reads: deletions by age make no artifact stale. */
const EXPIRED = "set local circadian.deletion = 'expired'"

/**
 * Runs a statement whose deleted episodes, all of the tenant `$1`, count as expired.
 * @returns the number of deleted episodes
 */
export function deleteExpired(
  database: Pick<Database, 'pool'>,
  sql: string,
  values: readonly [tenantId: string, ...others: unknown[]],
): Promise<number> {
  return transaction(database, 'prune episodes', async (client) => {
    await lockSteering(client, values[0])
    await client.query(EXPIRED)
    return (await client.query(sql, [...values])).rowCount ?? 0
  })
}
