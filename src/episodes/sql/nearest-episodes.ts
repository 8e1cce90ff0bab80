import { fromSql, toSql } from 'pgvector'
import { type Database, query, transaction } from '#database'
import type { Neighbour, NeighbourQuery } from '#ports'
import { decodeLatents } from '../latent-bytes.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

interface Row {
  readonly id: string
  readonly distance: number
  readonly embedding: string
  readonly length: number
  readonly width: number
  readonly z_base: Buffer
  readonly z_star: Buffer
}

/** Joins latents last, so that they are read for the neighbours only. */
const WITH_LATENTS = `
  select nearest.id, nearest.distance, nearest.embedding::text, length, width, z_base, z_star
  from nearest join episode_latents on tenant_id = $1 and episode_id = nearest.id
  order by nearest.distance, nearest.id`

/**
 * Compares the query with every retrievable episode of the tenant and model. Cosine distance is 1 -
 * similarity; the comparison also drops NaN, the distance of a zero vector. Ids break ties, so that equal
 * data gives equal neighbours.
 */
const EXACT_SQL = `
  with nearest as materialized (
    select id, embedding, embedding <=> $3::vector as distance
    from episodes
    where tenant_id = $1 and fingerprint = $2 and steers and ${KEPT_OF_TENANT}
      and embedding <=> $3::vector <= 1 - $4::double precision
      and id <> all($6::uuid[])
    order by distance, id
    limit $5
  )
  ${WITH_LATENTS}`

/**
 * Takes twice as many candidates as wanted from the index, in half precision, and orders them by their exact
 * distances. The bound on the similarity is applied to the candidates: inside the scan, it would make the
 * index search on for rows that do not exist. Without the index, the statement is slow and its result is
 * right.
 */
function indexedSql(width: number): string {
  return `
  with candidates as materialized (
    select id, embedding, embedding <=> $3::vector as distance
    from episodes
    where tenant_id = $1 and fingerprint = $2 and steers and ${KEPT_OF_TENANT} and id <> all($6::uuid[])
    order by embedding::halfvec(${width}) <=> $3::vector::halfvec(${width})
    limit 2 * $5::integer
  ),
  nearest as materialized (
    select id, embedding, distance from candidates
    where distance <= 1 - $4::double precision
    order by distance, id
    limit $5
  )
  ${WITH_LATENTS}`
}

/**
 * Settings of the transaction around the indexed statement. A strict iterative scan continues, in order of
 * distance, until the limit is reached, however many rows the filters drop. `ef_search`: recall against
 * time, by `npm run bench:retrieval`.
 */
const INDEX_SETTINGS = 'set local hnsw.iterative_scan = strict_order; set local hnsw.ef_search = 100'

/** @param indexed whether the tenant's episodes of this model have an HNSW index */
export async function nearestEpisodes(
  database: Pick<Database, 'pool'>,
  { tenantId, fingerprint, embedding, topK, minSimilarity, exclude = [] }: NeighbourQuery,
  { indexed, signal }: { readonly indexed: boolean; readonly signal: AbortSignal | undefined },
): Promise<readonly Neighbour[]> {
  if (topK === 0) return []
  const values = [tenantId, fingerprint, toSql(Array.from(embedding)), minSimilarity, topK, exclude]
  const operation = 'nearest episodes'
  const { rows } = indexed
    ? await transaction(
        database,
        operation,
        async (client) => {
          await client.query(INDEX_SETTINGS)
          return client.query<Row>(indexedSql(embedding.length), values)
        },
        { signal },
      )
    : await query<Row>(database, operation, EXACT_SQL, values, { signal })
  return rows.map((row) => ({
    episodeId: row.id,
    similarity: 1 - row.distance,
    embedding: Float32Array.from(fromSql(row.embedding) as number[]),
    zBase: decodeLatents(row.z_base, row.length, row.width),
    zStar: decodeLatents(row.z_star, row.length, row.width),
  }))
}
