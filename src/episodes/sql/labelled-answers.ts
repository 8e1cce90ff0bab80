import { type Database, query } from '#database'
import type { CandidateKind, LabelSource } from '../episode.ts'
import type { StoredAnswer, TrainingKey } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly episode_id: string
  readonly position: number
  readonly question: string
  readonly strategy: string
  readonly kind: CandidateKind
  readonly answer: string | null
  readonly tokens: readonly number[]
  readonly judge_fingerprint: string
  readonly reward: number
  readonly reward_terms: Readonly<Record<string, number>>
  readonly log_probability: number | null
  readonly self_certainty: number | null
  readonly answers: number
  readonly alike: number
  readonly layers: number | null
  readonly width: number | null
  readonly thought: Buffer | null
  readonly last_states: Buffer | null
  readonly label: boolean
  readonly label_source: LabelSource
  readonly label_weight: number
}

/** Drafts and samples are counted among all candidates of an episode, labelled or not. */
const SQL = `
  with own as (
    select tenant_id, episode_id, ordinal, episodes.question, strategy, position, kind, candidates.answer,
      tokens, judge_fingerprint, candidates.reward, reward_terms, log_probability, self_certainty, label,
      label_source, label_weight,
      (count(*) filter (where kind in ('draft', 'sample'))
        over (partition by tenant_id, episode_id))::integer as answers,
      (count(*) filter (where kind in ('draft', 'sample'))
        over (partition by tenant_id, episode_id, candidates.answer))::integer as alike
    from ${WANTED_EPISODES}
    join candidates using (tenant_id, episode_id)
    join episodes using (tenant_id)
    where episodes.id = episode_id and fingerprint = $1 and ${KEPT}
  )
  select own.*, layers, width, thought, last_states
  from own
  left join candidate_thoughts thoughts
    on $4::boolean and thoughts.tenant_id = own.tenant_id and thoughts.episode_id = own.episode_id
      and thoughts.position = own.position
  where label is not null
  order by ordinal, own.position`

export async function labelledAnswers(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
  withThoughts: boolean,
): Promise<readonly StoredAnswer[]> {
  const values = [...wantedValues(fingerprint, episodes), withThoughts]
  const { rows } = await query<Row>(database, 'read labelled answers', SQL, values)
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    episodeId: row.episode_id,
    position: row.position,
    question: row.question,
    strategy: row.strategy,
    kind: row.kind,
    answer: row.answer,
    tokens: row.tokens,
    judgeFingerprint: row.judge_fingerprint,
    reward: row.reward,
    rewardTerms: row.reward_terms,
    logProbability: row.log_probability,
    selfCertainty: row.self_certainty,
    answers: row.answers,
    alike: row.alike,
    last:
      row.last_states === null || row.width === null
        ? null
        : { bytes: row.last_states, rows: row.last_states.length / (2 * row.width), width: row.width },
    thought:
      row.thought === null || row.layers === null || row.width === null
        ? null
        : { bytes: row.thought, rows: row.layers, width: row.width },
    label: row.label,
    labelSource: row.label_source,
    labelWeight: row.label_weight,
  }))
}
