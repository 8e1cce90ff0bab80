import { type Database, query } from '#database'
import { fromFloat16Bytes } from '#tensor'
import type { Place } from '../cursor.ts'
import type { MapPoint } from '../episode.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

/** `halfvec_send`: 4 bytes of head, then big-endian halves; a fraction of the time of reading 256 numbers as text. */
const SQL = `
  select e.id, e.created_at, left(e.question, 120) as question, e.answer, e.reward, e.steers, c.label,
    halfvec_send(e.projection) as projection
  from episodes e
  left join candidates c on c.tenant_id = e.tenant_id and c.episode_id = e.id and c.chosen
  where e.tenant_id = $1 and (e.created_at, e.id) < ($2::timestamptz, $3::uuid) and ${KEPT_OF_TENANT}
    and e.fingerprint = $5 and e.projection is not null
  order by e.created_at desc, e.id desc
  limit $4`
const HEAD_BYTES = 4

type Described = Omit<MapPoint, 'x' | 'y'>

interface Row extends Described {
  readonly created_at: Date
  readonly projection: Buffer
}

export interface ProjectedEpisode extends Described, Place {
  /** `[256]`. */
  readonly projection: Float32Array
}

/** Returns the episodes of a model that have a projection and are older than `after`, newest first. */
export async function projectedEpisodes(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  {
    fingerprint,
    after,
    limit,
  }: { readonly fingerprint: string; readonly after: Place; readonly limit: number },
): Promise<readonly ProjectedEpisode[]> {
  const values = [tenantId, after.createdAt, after.id, limit, fingerprint]
  const { rows } = await query<Row>(database, 'map episodes', SQL, values)
  return rows.map(({ created_at, projection, ...row }) => ({
    ...row,
    createdAt: created_at.toISOString(),
    projection: fromFloat16Bytes(Buffer.from(projection.subarray(HEAD_BYTES)).swap16()),
  }))
}
