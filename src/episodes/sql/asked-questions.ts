import { type Database, query } from '#database'
import type { StoredQuestion, TrainingKey } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly episode_id: string
  readonly question: string
  /** As pgvector writes it: a JSON array. */
  readonly embedding: string
  readonly steers: boolean
}

const SQL = `
  select tenant_id, episode_id, question, embedding, steers
  from ${WANTED_EPISODES}
  join episodes using (tenant_id)
  where episodes.id = episode_id and fingerprint = $1 and ${KEPT}
  order by ordinal`

export async function askedQuestions(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
): Promise<readonly StoredQuestion[]> {
  const { rows } = await query<Row>(database, 'read questions', SQL, wantedValues(fingerprint, episodes))
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    episodeId: row.episode_id,
    question: row.question,
    embedding: Float32Array.from(JSON.parse(row.embedding) as number[]),
    steers: row.steers,
  }))
}
