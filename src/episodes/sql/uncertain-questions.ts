import { type Database, query } from '#database'
import type { UncertainQuestion } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'

/**
 * Takes the newest episode of each question asked by a request. Leaves out a question that any episode has
 * feedback or a reference for. The term `verifier.correctness` is P(correct) - 1, so -0.5 is the most
 * uncertain; an answer without the term counts as uncertain.
 */
const SQL = `
  with asked as (
    select distinct on (tenant_id, question) tenant_id, question, id, created_at, admitted
    from episodes
    where fingerprint = $1 and origin = 'request' and created_at > coalesce($2::timestamptz, '-infinity')
      and ${KEPT}
    order by tenant_id, question, created_at desc, id desc
  ),
  unlabelled as (
    select asked.*, abs(coalesce((reward_terms->>'verifier.correctness')::double precision, -0.5) + 0.5) as certainty
    from asked
    left join candidates on candidates.tenant_id = asked.tenant_id and episode_id = asked.id and chosen
    where not exists (
      select from episodes as same
      where same.tenant_id = asked.tenant_id and same.fingerprint = $1 and same.question = asked.question
        and (reference is not null or feedback_correct is not null or feedback_answer is not null)
    )
  ),
  ranked as (
    select *, row_number() over (
      partition by tenant_id order by admitted, certainty, created_at desc, id
    ) as place
    from unlabelled
  )
  select tenant_id as "tenantId", question from ranked
  where place <= $3
  order by admitted, certainty, created_at desc, id`

export async function uncertainQuestions(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  { since, perTenant }: { readonly since: Date | null; readonly perTenant: number },
): Promise<readonly UncertainQuestion[]> {
  const values = [fingerprint, since, perTenant]
  const { rows } = await query<UncertainQuestion>(database, 'read uncertain questions', SQL, values)
  return rows
}
