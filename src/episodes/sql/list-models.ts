import { type Database, query } from '#database'

/**
 * Jumps along the index from one fingerprint to the next, because there are few of them with many episodes
 * each.
 */
const SQL = `
  with recursive models (fingerprint) as (
    select min(fingerprint) from episodes
    union all
    select (select min(episodes.fingerprint) from episodes where episodes.fingerprint > models.fingerprint)
    from models where models.fingerprint is not null
  )
  select fingerprint from models where fingerprint is not null`

export async function listModels(database: Pick<Database, 'pool'>): Promise<readonly string[]> {
  const { rows } = await query<{ fingerprint: string }>(database, 'list models', SQL)
  return rows.map(({ fingerprint }) => fingerprint)
}
