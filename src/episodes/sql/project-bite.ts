import { fromSql, toSql } from 'pgvector'
import { type Database, query } from '#database'
import type { EmbeddingProjections } from '../embedding-projections.ts'

interface Row {
  readonly tenant_id: string
  readonly id: string
  readonly fingerprint: string
  readonly embedding: string
}

/** The order makes Postgres read the index of these rows, from its start. */
const READ = `
  select tenant_id, id, fingerprint, embedding::text from episodes where projection is null
  order by tenant_id, fingerprint limit $1`

const FILL = 'update episodes set projection = $3::halfvec where tenant_id = $1 and id = $2'

const BITE_EPISODES = 100

/**
 * Fills in the projections of up to 100 episodes that were stored by an earlier release, of any tenant and model. One
 * statement an episode: it never holds one row while it waits for another, and on the embedded database, whose worker
 * runs in the API process, nothing waits for long. The stored projections are the progress: several workers may run
 * it, and another one goes on after a crash.
 *
 * @returns the number of episodes; 0 when none is left
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function projectBite(
  database: Pick<Database, 'pool'>,
  projections: EmbeddingProjections,
): Promise<number> {
  const { rows } = await query<Row>(database, 'read unprojected episodes', READ, [BITE_EPISODES])
  for (const { tenant_id, id, fingerprint, embedding: text } of rows) {
    const embedding = Float32Array.from(fromSql(text) as number[])
    const project = await projections.findOrRecord(fingerprint, embedding.length)
    const projection = toSql(Array.from(project(embedding)))
    await query(database, 'fill in a projection', FILL, [tenant_id, id, projection])
  }
  return rows.length
}
