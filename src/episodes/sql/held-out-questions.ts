import { type Database, query } from '#database'
import type { HeldOutQuestion, TrainingKey } from '../training-store.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly question: string
  readonly reference: string | null
  readonly episode_ids: readonly string[]
}

/**
 * The right answer to a question is the feedback of its first wanted episode, or else that episode's
 * reference. Feedback that an answer is wrong gives no right answer, and voids a reference that equals the
 * wrong answer.
 */
const SQL = `
  with asked as (
    select distinct on (tenant_id, question) tenant_id, question, ordinal,
      case
        when feedback_answer is not null then feedback_answer
        when feedback_correct then answer
        when feedback_correct = false and reference = answer then null
        else reference
      end as reference
    from ${WANTED_EPISODES}
    join episodes using (tenant_id)
    where episodes.id = episode_id and fingerprint = $1
    order by tenant_id, question, ordinal
  )
  select asked.tenant_id, asked.question, asked.reference, array_agg(same.id order by same.id) as episode_ids
  from asked
  join episodes as same
    on same.tenant_id = asked.tenant_id and same.fingerprint = $1 and same.question = asked.question
  group by asked.tenant_id, asked.question, asked.reference, asked.ordinal
  order by asked.ordinal
  limit $4`

export async function heldOutQuestions(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
  limit: number,
): Promise<readonly HeldOutQuestion[]> {
  const { rows } = await query<Row>(database, 'read held-out questions', SQL, [
    ...wantedValues(fingerprint, episodes),
    limit,
  ])
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    question: row.question,
    reference: row.reference,
    episodeIds: row.episode_ids,
  }))
}
