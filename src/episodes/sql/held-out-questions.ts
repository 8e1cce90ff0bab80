import { type Database, query } from '#database'
import type { HeldOutQuestion, TrainingKey, TrainingStore } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'
import { WANTED_EPISODES, wantedValues } from './wanted-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly question: string
  readonly reference: string | null
  readonly source: HeldOutQuestion['referenceSource']
  readonly episode_ids: readonly string[]
}

/**
 * The right answer to a question comes from all episodes of its tenant and model, not only the wanted ones:
 * the newest feedback that names one, else the newest reference, else the majority of at least half of the
 * samples of one episode (the largest share first). An answer that feedback called wrong is no reference and
 * no majority, and no confirmed answer either when that feedback is on a newer episode. Keys of other rules than
 * the wanted ones take no part.
 */
const SQL = `
  with first_asked as (
    select distinct on (tenant_id, question) tenant_id, question, ordinal
    from ${WANTED_EPISODES}
    join episodes using (tenant_id)
    where episodes.id = episode_id and fingerprint = $1 and ${KEPT}
    order by tenant_id, question, ordinal
  ),
  asked as (select * from first_asked order by ordinal limit $4),
  same as materialized (
    select asked.ordinal, asked.tenant_id, asked.question, id, created_at, answer, reference, feedback_correct,
      coalesce(feedback_answer, case when feedback_correct then answer end) as confirmed,
      same_answer_rules(answer_rules, judge_fingerprint, $5, $6) as is_compared
    from asked
    join episodes
      on episodes.tenant_id = asked.tenant_id and fingerprint = $1 and episodes.question = asked.question
      and ${KEPT}
  ),
  compared as (select * from same where is_compared),
  refuted as (
    select ordinal, answer, max(created_at) as refuted_at from compared
    where feedback_correct = false and answer is not null
    group by ordinal, answer
  ),
  votes as (
    select ordinal, id, created_at, candidates.answer, count(*) as votes,
      sum(count(*)) over (partition by ordinal, id) as samples
    from compared
    join candidates on candidates.tenant_id = compared.tenant_id and episode_id = id and kind = 'sample'
    group by ordinal, id, created_at, candidates.answer
  ),
  named as (
    select ordinal, confirmed as answer, 1 as rank, 1 as share, created_at, id from compared
    where confirmed is not null and not exists (
      select from refuted
      where refuted.ordinal = compared.ordinal and refuted.answer = confirmed and refuted_at > created_at
    )
    union all
    select ordinal, reference, 2, 1, created_at, id from compared
    where reference is not null
      and not exists (select from refuted where refuted.ordinal = compared.ordinal and refuted.answer = reference)
    union all
    select ordinal, answer, 3, votes / samples, created_at, id from votes
    where answer is not null and samples >= 2 and 2 * votes >= samples
      and not exists (
        select from votes as other
        where other.ordinal = votes.ordinal and other.id = votes.id
          and other.answer <> votes.answer and other.votes = votes.votes
      )
      and not exists (
        select from refuted where refuted.ordinal = votes.ordinal and refuted.answer = votes.answer
      )
  ),
  best as (
    select distinct on (ordinal) ordinal, answer, (array['feedback', 'reference', 'majority'])[rank] as source
    from named
    order by ordinal, rank, share desc, created_at desc, id desc
  )
  select same.tenant_id, same.question, best.answer as reference, best.source,
    array_agg(same.id order by same.id) as episode_ids
  from same
  left join best using (ordinal)
  group by same.tenant_id, same.question, best.answer, best.source, ordinal
  order by ordinal`

export async function heldOutQuestions(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  episodes: readonly TrainingKey[],
  { limit, rules }: Parameters<TrainingStore['heldOutQuestions']>[2],
): Promise<readonly HeldOutQuestion[]> {
  const { rows } = await query<Row>(database, 'read held-out questions', SQL, [
    ...wantedValues(fingerprint, episodes),
    limit,
    rules.answerRules,
    rules.judgeFingerprint,
  ])
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    question: row.question,
    reference: row.reference,
    referenceSource: row.source,
    episodeIds: row.episode_ids,
  }))
}
