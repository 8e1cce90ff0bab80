import { type Database, query } from '#database'
import type { EpisodeDetail, StoredCandidate } from '../episode.ts'
import { FROM_EPISODES, SUMMARY_COLUMNS, type SummaryRow, toSummary } from './episode-row.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

interface Row extends SummaryRow {
  readonly fingerprint: string
  readonly judge_fingerprint: string
  readonly reasoning: string
  readonly reference: string | null
  readonly evaluations: number
  readonly generated_tokens: number
  readonly stopped: string
  /** A bigint, which the driver returns as text. */
  readonly seed: string
  readonly weaver_version: string | null
  readonly reward_model_version: string | null
  readonly judge_version: string | null
  readonly candidates: readonly StoredCandidate[]
}

const SQL = `
  select ${SUMMARY_COLUMNS},
    e.fingerprint, e.judge_fingerprint, e.reasoning, e.reference, e.evaluations, e.generated_tokens, e.stopped, e.seed,
    e.weaver_version, e.reward_model_version, e.judge_version,
    (
      select coalesce(json_agg(json_build_object(
        'kind', kind, 'tokens', tokens, 'text', text, 'answer', answer, 'reward', reward,
        'rewardTerms', reward_terms,
        'logProbability', log_probability, 'selfCertainty', self_certainty, 'chosen', chosen, 'label', label, 'labelSource', label_source
      ) order by position), '[]')
      from candidates
      where candidates.tenant_id = e.tenant_id and candidates.episode_id = e.id
    ) as candidates
  ${FROM_EPISODES}
  where e.tenant_id = $1 and e.id = $2 and ${KEPT_OF_TENANT}`

export async function getEpisode(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  id: string,
): Promise<EpisodeDetail | null> {
  const { rows } = await query<Row>(database, 'get episode', SQL, [tenantId, id])
  const row = rows[0]
  if (row === undefined) return null
  return {
    ...toSummary(row),
    fingerprint: row.fingerprint,
    judgeFingerprint: row.judge_fingerprint,
    reasoning: row.reasoning,
    reference: row.reference,
    evaluations: row.evaluations,
    generatedTokens: row.generated_tokens,
    stopped: row.stopped,
    seed: Number(row.seed),
    weaverVersion: row.weaver_version,
    lrmVersion: row.reward_model_version,
    judgeVersion: row.judge_version,
    candidates: row.candidates,
  }
}
