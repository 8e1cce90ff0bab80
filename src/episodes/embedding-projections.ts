/**
 * @file The projections of embeddings that retrieval compares: 256 values in half precision, stored in the row of
 * the episode. The embedding itself orders the nearest candidates.
 */

import { type Database, query } from '#database'
import { createRandomProjection, type Projection } from '#tensor'

/** Number of values of a projection; the width of the column `episodes.projection`. */
export const PROJECTED_DIMS = 256
/** Seed of models without a record. Another one changes the projections of new models only. */
const SEED = 1

/** @throws ServiceError STORE_UNAVAILABLE from every method */
export interface EmbeddingProjections {
  /** Returns the projection of a model, `[width]` to `[256]`; null when no process has stored its episodes yet. */
  find(fingerprint: string, width: number, signal?: AbortSignal): Promise<Projection | null>
  /** As `find`; records the seed of a new model. */
  findOrRecord(fingerprint: string, width: number, signal?: AbortSignal): Promise<Projection>
}

const FIND = 'select projection_seed as seed from models where fingerprint = $1'

/** The update changes nothing: it makes the statement return the row of a model that is recorded already. */
const RECORD = `
  insert into models (fingerprint, projection_seed) values ($1, $2)
  on conflict (fingerprint) do update set projection_seed = models.projection_seed
  returning projection_seed as seed`

/** Reads the record of each model once. */
export function createEmbeddingProjections(database: Pick<Database, 'pool'>): EmbeddingProjections {
  const known = new Map<string, Projection>()

  async function read(
    sql: string,
    values: readonly [fingerprint: string, ...others: unknown[]],
    width: number,
    signal: AbortSignal | undefined,
  ): Promise<Projection | null> {
    const name = `${width} ${values[0]}`
    const found = known.get(name)
    if (found !== undefined) return found
    const { rows } = await query<{ seed: string }>(database, 'read model record', sql, values, { signal })
    if (rows[0] === undefined) return null
    const projection = createRandomProjection(width, PROJECTED_DIMS, Number(rows[0].seed))
    known.set(name, projection)
    return projection
  }

  return {
    find: (fingerprint, width, signal) => read(FIND, [fingerprint], width, signal),
    async findOrRecord(fingerprint, width, signal) {
      const projection = await read(RECORD, [fingerprint, SEED], width, signal)
      if (projection === null) throw new Error('unreachable: the statement returns a row')
      return projection
    },
  }
}
