import { fromSql, toSql } from 'pgvector'
import { type Database, query, transaction } from '#database'
import type { Neighbour, NeighbourQuery } from '#ports'
import { PROJECTED_DIMS } from '../embedding-projections.ts'
import { decodeLatents } from '../latent-bytes.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

export interface NeighbourRow {
  readonly id: string
  readonly distance: number
  readonly embedding: string
  readonly length: number
  readonly width: number
  readonly z_base: Buffer
  readonly z_star: Buffer
  readonly confirmed_answer: string | null
  readonly answer_rules: string
}

/** Rows of the neighbours. Joins latents last, so that they are read for the neighbours only. */
export const NEIGHBOURS = `
  select nearest.id, nearest.distance, nearest.embedding::text, length, width, z_base, z_star,
    case when verdict then answer end as confirmed_answer, answer_rules
  from nearest
  join episode_latents on tenant_id = $1 and episode_id = nearest.id
  join episodes on episodes.tenant_id = $1 and episodes.id = nearest.id`

/**
 * Number of candidates for each neighbour. With 4, the candidates hold 99.9 % of the 3 nearest embeddings of real
 * questions; 8 leave room for models and tenants whose questions are more alike (`npm run bench:retrieval -- --recall`).
 */
const OVERSAMPLING = 8

/** Condition of the episodes that the query may find. */
const FINDABLE = `
  tenant_id = $1 and fingerprint = $2 and steers and ${KEPT_OF_TENANT} and id <> all($6::uuid[])`

/**
 * Takes the episodes with the nearest projections as candidates, and orders them by the exact distances of their
 * embeddings, which lie out of line and are read for candidates only. Episodes without a projection, stored by an
 * earlier release, are compared by their embeddings. Cosine distance is 1 - similarity; the bound on it also drops
 * NaN, the distance of a zero vector. It is applied to the candidates: inside the scan, it would make an index search
 * on for rows that do not exist. Ids break ties, so that equal data gives equal neighbours. Without its index, the
 * indexed statement is slow and its result is right.
 *
 * @param tieBreak order of candidates of equal distance; an index has none
 */
const nearestCtes = (tieBreak: ', id' | '') => `
  candidates as materialized (
    (
      select id, embedding from episodes
      where ${FINDABLE} and projection is not null
      order by projection <=> $7::halfvec(${PROJECTED_DIMS})${tieBreak}
      limit ${OVERSAMPLING} * $5::integer
    )
    union all
    (
      select id, embedding from episodes
      where ${FINDABLE} and projection is null
      order by embedding <=> $3::vector, id
      limit $5
    )
  ),
  nearest as materialized (
    select id, embedding, embedding <=> $3::vector as distance
    from candidates
    where embedding <=> $3::vector <= 1 - $4::double precision
    order by distance, id
    limit $5
  )`

/** A statement about neighbours, for each way to find them. */
interface NeighbourSql {
  readonly scan: string
  readonly indexed: string
}

/** Returns the statement that `rest` makes of the clause `with`, to which it may add. */
export function neighbourSql(rest: (nearest: string) => string): NeighbourSql {
  return { scan: rest(`with ${nearestCtes(', id')}`), indexed: rest(`with ${nearestCtes('')}`) }
}

const SQL = neighbourSql((nearest) => `${nearest} ${NEIGHBOURS} order by distance, id`)

/**
 * Settings of the transaction around the indexed statement. A strict iterative scan continues, in order of
 * distance, until the limit is reached, however many rows the filters drop. `ef_search`: recall against
 * time, by `npm run bench:retrieval`.
 */
const INDEX_SETTINGS = 'set local hnsw.iterative_scan = strict_order; set local hnsw.ef_search = 100'

export interface NearestOptions {
  /** Projection of the query, `[256]`; null when no episode of the model has one. */
  readonly projection: Float32Array | null
  /** Whether the tenant's episodes of this model have an HNSW index. */
  readonly indexed: boolean
  readonly signal: AbortSignal | undefined
}

/**
 * Runs a statement that finds neighbours.
 *
 * @param more values of the statement after those of the query, `$8` and on
 */
export async function findNear<Row extends object>(
  database: Pick<Database, 'pool'>,
  sql: NeighbourSql,
  { tenantId, fingerprint, embedding, topK, minSimilarity, exclude = [] }: NeighbourQuery,
  { projection, indexed, signal }: NearestOptions,
  more: readonly unknown[] = [],
): Promise<readonly Row[]> {
  const values = [
    tenantId,
    fingerprint,
    toSql(Array.from(embedding)),
    minSimilarity,
    topK,
    exclude,
    projection === null ? null : toSql(Array.from(projection)),
    ...more,
  ]
  const operation = 'nearest episodes'
  if (!indexed || topK === 0) {
    return (await query<Row>(database, operation, sql.scan, values, { signal })).rows
  }
  return transaction(
    database,
    operation,
    async (client) => {
      await client.query(INDEX_SETTINGS)
      return (await client.query<Row>(sql.indexed, values)).rows
    },
    { signal },
  )
}

export async function nearestEpisodes(
  database: Pick<Database, 'pool'>,
  query: NeighbourQuery,
  options: NearestOptions,
): Promise<readonly Neighbour[]> {
  return (await findNear<NeighbourRow>(database, SQL, query, options)).map(toNeighbour)
}

export function toNeighbour(row: NeighbourRow): Neighbour {
  return {
    episodeId: row.id,
    similarity: 1 - row.distance,
    embedding: Float32Array.from(fromSql(row.embedding) as number[]),
    zBase: decodeLatents(row.z_base, row.length, row.width),
    zStar: decodeLatents(row.z_star, row.length, row.width),
    ...(row.confirmed_answer !== null && {
      confirmed: { answer: row.confirmed_answer, answerRules: row.answer_rules },
    }),
  }
}
