import { type Database, query } from '#database'
import type { AnsweredQuestion, TrainingStore } from '../training-store.ts'
import { KEPT } from './kept-episodes.ts'

interface Row {
  readonly tenant_id: string
  readonly id: string
  readonly question: string
}

/** Draws by a hash of question and salt; the newest episode of a question stands for it. */
const SQL = `
  select distinct on (draw, tenant_id, question)
    tenant_id, id, question, md5($2 || tenant_id || question) as draw
  from episodes
  where fingerprint = $1 and origin = 'request' and ${KEPT}
    and (reference is not null or (strategy = 'auto' and (feedback_correct or feedback_answer is not null)))
    and not exists (
      select from episodes as same
      where same.tenant_id = episodes.tenant_id and same.fingerprint = $1
        and hashtextextended(same.question, 0) = hashtextextended(episodes.question, 0)
        and same.question = episodes.question
        and same.origin = 'night' and same.reference is not null and same.created_at < $3
    )
  order by draw, tenant_id, question, created_at desc, id desc
  limit $4`

export async function answeredQuestions(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
  { salt, before, limit }: Parameters<TrainingStore['answeredQuestions']>[1],
): Promise<readonly AnsweredQuestion[]> {
  const values = [fingerprint, salt, before, limit]
  const { rows } = await query<Row>(database, 'read answered questions', SQL, values)
  return rows.map(({ tenant_id, id, question }) => ({ tenantId: tenant_id, episodeId: id, question }))
}
