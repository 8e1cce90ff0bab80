import { type Database, transaction } from '#database'
import { KEPT } from './kept-episodes.ts'

/** Deletes one batch, so that no statement locks many rows for long. Hidden episodes are erased, not expired. */
const SQL = `
  delete from episodes
  where (tenant_id, id) in (
    select tenant_id, id from episodes where created_at < $1 and ${KEPT} order by created_at limit $2
  )`

const BATCH_EPISODES = 500

/**
 * Deletes the episodes of all tenants that are older than `before`. Artifacts that were trained on them count
 * them as expired. @returns the number of deleted episodes
 */
export async function pruneEpisodes(database: Pick<Database, 'pool'>, before: Date): Promise<number> {
  let pruned = 0
  for (;;) {
    const deleted = await deleteExpired(database, SQL, [before, BATCH_EPISODES])
    pruned += deleted
    if (deleted < BATCH_EPISODES) return pruned
  }
}

/** Setting that the trigger on `episodes` reads: deletions by age make no artifact stale. */
const EXPIRED = "set local circadian.deletion = 'expired'"

/** Runs a statement whose deleted episodes count as expired. @returns the number of deleted episodes */
export function deleteExpired(
  database: Pick<Database, 'pool'>,
  sql: string,
  values: readonly unknown[],
): Promise<number> {
  return transaction(database, 'prune episodes', async (client) => {
    await client.query(EXPIRED)
    return (await client.query(sql, [...values])).rowCount ?? 0
  })
}
