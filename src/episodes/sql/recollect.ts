import { type Database, storableText } from '#database'
import type { Recollection, RecollectionQuery } from '#ports'
import { PROJECTED_DIMS } from '../embedding-projections.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'
import { NEAR_DUPLICATE_DISTANCE } from './near-duplicates.ts'
import {
  findNear,
  NEIGHBOURS,
  type NearestOptions,
  type NeighbourRow,
  neighbourSql,
  toNeighbour,
} from './nearest-episodes.ts'

interface RefutedRow extends Record<Exclude<keyof NeighbourRow, 'id'>, null> {
  readonly id: string
  readonly refuted_answer: string
}

type Row = (NeighbourRow & { readonly refuted_answer: null }) | RefutedRow

/** Number of a tenant's newest refuted episodes of a model that a question is compared with; it bounds the cost. */
const MAX_COMPARED_REFUTED = 1_000

/**
 * Largest distance of the projections of near-duplicates. Theirs differs from the distance of the embeddings by a tenth or
 * two, so that four times the distance loses none, and embeddings, which lie out of line, are read for few.
 */
const NEAR_PROJECTION_DISTANCE = 4 * NEAR_DUPLICATE_DISTANCE

/** Episodes of the tenant and the model with keys that compare. */
const COMPARED = `
  tenant_id = $1 and fingerprint = $2 and ${KEPT_OF_TENANT} and id <> all($6::uuid[]) and answer_rules = $9`

/**
 * An answer is refuted by the newest word on it: of two words, feedback comes before a reference, then the newer episode. Words
 * for it are looked for under the text of the asked question, and under that of the refuted one.
 */
const SQL = neighbourSql(
  (nearest) => `
  ${nearest},
  newest_refuted as (
    select id, created_at, question, answer, embedding, projection,
      (feedback_correct is not null or feedback_answer is not null)::integer as trust
    from episodes
    where ${COMPARED} and verdict is false and answer is not null
    order by created_at desc
    limit ${MAX_COMPARED_REFUTED}
  ),
  refuted as materialized (
    select id, created_at, question, answer, trust from newest_refuted
    where case
      when projection <=> $7::halfvec(${PROJECTED_DIMS}) > ${NEAR_PROJECTION_DISTANCE} then false
      else embedding <=> $3::vector <= ${NEAR_DUPLICATE_DISTANCE}
    end
  ),
  standing_refuted as (
    select distinct on (answer) answer, id from refuted
    where not exists (
      select from episodes
      where ${COMPARED}
        and hashtextextended(episodes.question, 0)
          in (hashtextextended(refuted.question, 0), hashtextextended($8, 0))
        and episodes.question in (refuted.question, $8)
        and (
          (
            refuted.answer
              = coalesce(feedback_answer, case when feedback_correct then episodes.answer end)
            and (1, episodes.created_at, episodes.id) > (trust, refuted.created_at, refuted.id)
          )
          or (
            refuted.answer = reference
            and (0, episodes.created_at, episodes.id) > (trust, refuted.created_at, refuted.id)
          )
        )
    )
    order by answer, created_at desc, id desc
  )
  select neighbours.*, null as refuted_answer from (${NEIGHBOURS}) as neighbours
  union all
  select id, null, null, null, null, null, null, null, null, answer from standing_refuted
  order by distance, id`,
)

/** As `EpisodeMemory.recollect`. */
export async function recollect(
  database: Pick<Database, 'pool'>,
  query: RecollectionQuery,
  options: NearestOptions,
): Promise<Recollection> {
  const { question, answerRules } = query
  const rows = await findNear<Row>(database, SQL, query, options, [storableText(question), answerRules])
  return {
    neighbours: rows.flatMap((row) => (row.refuted_answer === null ? [toNeighbour(row)] : [])),
    refuted: rows.flatMap(({ id, refuted_answer: answer }) =>
      answer === null ? [] : [{ answer, episodeId: id }],
    ),
  }
}
