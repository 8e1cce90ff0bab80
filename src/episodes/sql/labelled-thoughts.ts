import { type Database, query } from '#database'
import type { LabelSource } from '../episode.ts'
import type { StoredThought, TrainingKey } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly episode_id: string
  readonly position: number
  readonly question: string
  readonly answer: string | null
  readonly verifier: number | null
  readonly layers: number
  readonly width: number
  readonly thought: Buffer
  readonly last_states: Buffer | null
  readonly tokens: readonly number[]
  readonly label: boolean
  readonly label_source: LabelSource
  readonly label_weight: number
  readonly stands_for: number
}

const SQL = `
  select tenant_id, episode_id, position, episodes.question, candidates.answer,
    (reward_terms ->> 'verifier')::double precision as verifier, layers, width, thought, last_states,
    tokens, label, label_source, label_weight, stands_for
  from ${WANTED_EPISODES}
  join candidates using (tenant_id, episode_id)
  join candidate_thoughts using (tenant_id, episode_id, position)
  join episodes using (tenant_id)
  where episodes.id = episode_id and fingerprint = $1 and ${KEPT} and label is not null
  order by ordinal, position`

export async function labelledThoughts(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
): Promise<readonly StoredThought[]> {
  const { rows } = await query<Row>(
    database,
    'read labelled thoughts',
    SQL,
    wantedValues(fingerprint, episodes),
  )
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    episodeId: row.episode_id,
    position: row.position,
    question: row.question,
    answer: row.answer,
    verifier: row.verifier,
    thought: { bytes: row.thought, rows: row.layers, width: row.width },
    last: row.last_states && {
      bytes: row.last_states,
      rows: row.last_states.length / (2 * row.width),
      width: row.width,
    },
    tokens: row.tokens,
    label: row.label,
    labelSource: row.label_source,
    labelWeight: row.label_weight,
    standsFor: row.stands_for,
  }))
}
