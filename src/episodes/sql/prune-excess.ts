import { type Database, query } from '#database'
import { KEPT } from './kept-episodes.ts'
import { deleteExpired } from './prune-episodes.ts'

/** Reads an index that has model and tenant first, and no rows. */
const EXCESS = `
  select tenant_id, fingerprint, count(*)::integer - $1::integer as excess from episodes
  where ${KEPT}
  group by fingerprint, tenant_id having count(*) > $1`

/**
 * Deletes one batch, least useful first: within the older half, episodes that are not retrievable (dominated
 * or not admitted), then the oldest. New episodes stay whether they are retrievable or not, because the reward
 * model learns from wrong answers as well.
 */
const SQL = `
  delete from episodes
  where tenant_id = $1 and id in (
    select id from (
      select id, steers, created_at from episodes
      where fingerprint = $2 and tenant_id = $1 and ${KEPT}
      order by created_at limit greatest($3::integer, $4::integer / 2)
    ) as older
    order by steers, created_at limit $3
  )`

const BATCH_EPISODES = 500

interface Row {
  readonly tenant_id: string
  readonly fingerprint: string
  readonly excess: number
}

/**
 * Deletes the episodes of each tenant and model beyond `capacity`. Artifacts that were trained on them count
 * them as expired. @returns the number of deleted episodes
 */
export async function pruneExcessEpisodes(
  database: Pick<Database, 'pool'>,
  capacity: number,
): Promise<number> {
  const { rows } = await query<Row>(database, 'count episodes', EXCESS, [capacity])
  let pruned = 0
  for (const { tenant_id: tenantId, fingerprint, excess } of rows) {
    for (let left = excess; left > 0; left -= BATCH_EPISODES) {
      const values = [tenantId, fingerprint, Math.min(left, BATCH_EPISODES), capacity] as const
      pruned += await deleteExpired(database, SQL, values)
    }
  }
  return pruned
}
