import { fromSql, toSql } from 'pgvector'
import { type Database, query } from '#database'
import type { EmbeddingProjections } from '../embedding-projections.ts'

interface Row {
  readonly tenant_id: string
  readonly id: string
  readonly fingerprint: string
  readonly embedding: string
}

const READ = `
  select tenant_id, id, fingerprint, embedding::text from episodes where projection is null limit $1`

/** Leaves locked rows for a later bite, so that it waits for no transaction, and none waits for it for long. */
const FILL = `
  with free as (
    select tenant_id, id, filled.projection
    from unnest($1::text[], $2::uuid[], $3::text[]) as filled (tenant_id, id, projection)
    join episodes using (tenant_id, id)
    where episodes.projection is null
    for update of episodes skip locked
  )
  update episodes set projection = free.projection::halfvec
  from free where episodes.tenant_id = free.tenant_id and episodes.id = free.id`

const BITE_EPISODES = 100

/**
 * Fills in the projections of up to 100 episodes that were stored by an earlier release, of any tenant and model.
 * The stored projections are the progress: several workers may run it, and another one goes on after a crash.
 *
 * @returns the number of episodes; 0 when none is left, or all that are left are locked
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function projectBite(
  database: Pick<Database, 'pool'>,
  projections: EmbeddingProjections,
): Promise<number> {
  const { rows } = await query<Row>(database, 'read unprojected episodes', READ, [BITE_EPISODES])
  if (rows.length === 0) return 0
  const projected: (string | null)[] = []
  for (const row of rows) {
    const embedding = Float32Array.from(fromSql(row.embedding) as number[])
    const project = await projections.findOrRecord(row.fingerprint, embedding.length)
    projected.push(toSql(Array.from(project(embedding))))
  }
  const values = [rows.map(({ tenant_id }) => tenant_id), rows.map(({ id }) => id), projected]
  return (await query(database, 'fill in projections', FILL, values)).rowCount ?? 0
}
