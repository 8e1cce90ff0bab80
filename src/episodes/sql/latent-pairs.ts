import { type Database, query } from '#database'
import type { LabelSource } from '../episode.ts'
import type { StoredLatents, TrainingKey } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly episode_id: string
  readonly question: string
  /** As pgvector writes it: a JSON array. */
  readonly embedding: string
  readonly length: number
  readonly width: number
  readonly z_base: Buffer
  readonly z_star: Buffer
  readonly label: boolean | null
  readonly label_source: LabelSource | null
}

const SQL = `
  select tenant_id, episode_id, question, embedding, length, width, z_base, z_star, label, label_source
  from ${WANTED_EPISODES}
  join episode_latents using (tenant_id, episode_id)
  left join candidates using (tenant_id, episode_id)
  join episodes using (tenant_id)
  where episodes.id = episode_id and fingerprint = $1 and ${KEPT} and steers and chosen is not false
  order by ordinal`

export async function latentPairs(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
): Promise<readonly StoredLatents[]> {
  const { rows } = await query<Row>(database, 'read latents', SQL, wantedValues(fingerprint, episodes))
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    episodeId: row.episode_id,
    question: row.question,
    embedding: Float32Array.from(JSON.parse(row.embedding) as number[]),
    zBase: { bytes: row.z_base, rows: row.length, width: row.width },
    zStar: { bytes: row.z_star, rows: row.length, width: row.width },
    label: row.label,
    labelSource: row.label_source,
  }))
}
