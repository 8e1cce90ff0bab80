import { type Database, query } from '#database'

/** Deletes one batch, so that no statement locks many rows for long. */
const SQL = `
  delete from episodes
  where (tenant_id, id) in (
    select tenant_id, id from episodes where created_at < $1 order by created_at limit $2
  )`

const BATCH_EPISODES = 500

/**
 * Deletes the episodes of all tenants that are older than `before`. @returns the number of deleted episodes
 */
export async function pruneEpisodes(database: Pick<Database, 'pool'>, before: Date): Promise<number> {
  let pruned = 0
  for (;;) {
    const { rowCount } = await query(database, 'prune episodes', SQL, [before, BATCH_EPISODES])
    pruned += rowCount ?? 0
    if ((rowCount ?? 0) < BATCH_EPISODES) return pruned
  }
}
