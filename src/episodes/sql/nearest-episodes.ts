import { fromSql, toSql } from 'pgvector'
import { type Database, query } from '#database'
import type { Neighbour, NeighbourQuery } from '#ports'
import { decodeLatents } from '../latent-bytes.ts'

interface Row {
  readonly id: string
  readonly distance: number
  readonly embedding: string
  readonly length: number
  readonly width: number
  readonly z_base: Buffer
  readonly z_star: Buffer
}

/**
 * Cosine distance is 1 - similarity; the comparison also drops NaN, the distance of a zero vector. Ids break
 * ties, so that equal data gives equal neighbours. The join comes last so that latents are read for the
 * neighbours only.
 */
const SQL = `
  with nearest as materialized (
    select id, embedding, embedding <=> $3::vector as distance
    from episodes
    where tenant_id = $1 and fingerprint = $2 and steers
      and embedding <=> $3::vector <= 1 - $4::double precision
      and id <> all($6::uuid[])
    order by distance, id
    limit $5
  )
  select nearest.id, nearest.distance, nearest.embedding::text, length, width, z_base, z_star
  from nearest join episode_latents on tenant_id = $1 and episode_id = nearest.id
  order by nearest.distance, nearest.id`

export async function nearestEpisodes(
  database: Pick<Database, 'pool'>,
  { tenantId, fingerprint, embedding, topK, minSimilarity, exclude = [] }: NeighbourQuery,
): Promise<readonly Neighbour[]> {
  if (topK === 0) return []
  const { rows } = await query<Row>(database, 'nearest episodes', SQL, [
    tenantId,
    fingerprint,
    toSql(Array.from(embedding)),
    minSimilarity,
    topK,
    exclude,
  ])
  return rows.map((row) => ({
    episodeId: row.id,
    similarity: 1 - row.distance,
    embedding: Float32Array.from(fromSql(row.embedding) as number[]),
    zBase: decodeLatents(row.z_base, row.length, row.width),
    zStar: decodeLatents(row.z_star, row.length, row.width),
  }))
}
