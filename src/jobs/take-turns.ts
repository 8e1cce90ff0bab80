/**
 * @file Turns of the questions that wait for an answer in the background, so that the many of one tenant do not keep
 * the one of another waiting. BullMQ runs the jobs of a queue by priority, and has no fairness between tenants of its
 * own.
 *
 * Start-time fair queueing (Goyal, Vin, Cheng, 1996), with questions of equal cost: the n-th question of a tenant has
 * the n-th turn after that of the tenant's last one, and never an earlier one than the questions that wait now.
 */

import { type Database, query } from '#database'
import { MAX_TURN } from './contracts.ts'

export interface WaitingQuestion {
  readonly tenantId: string
  readonly solutionId: string
}

/** A question that has a turn keeps it, so that a job that is handed over again finds its place. */
const TAKE = `
  with asked as (
    select tenant_id, id, place from unnest($1::text[], $2::uuid[]) with ordinality as asked (tenant_id, id, place)
  ),
  unfinished as materialized (
    select tenant_id, status, turn from solutions where finished_at is null and turn is not null
  ),
  latest as (select tenant_id, max(turn) as turn from unfinished group by tenant_id),
  next as (select min(turn) as turn from unfinished where status = 'queued'),
  taken as (
    update solutions set turn = least(${MAX_TURN}, free.turn)::integer from (
      select tenant_id, asked.id,
        greatest(latest.turn, next.turn - 1, 0) + row_number() over (partition by tenant_id order by place) as turn
      from asked join solutions using (tenant_id, id) left join latest using (tenant_id) cross join next
      where solutions.turn is null
    ) as free
    where solutions.tenant_id = free.tenant_id and solutions.id = free.id
    returning solutions.id, solutions.turn
  )
  select id, turn from taken
  union all
  select id, turn from asked join solutions using (tenant_id, id) where turn is not null`

/**
 * Gives each question its turn, from 1 to `MAX_TURN`, at which tenants stop taking turns until the line is empty.
 *
 * @param questions in the order in which they came
 * @returns turns by the id of the solution; none for one that is gone
 * @throws ServiceError STORE_UNAVAILABLE
 */
export async function takeTurns(
  database: Pick<Database, 'pool'>,
  questions: readonly WaitingQuestion[],
): Promise<ReadonlyMap<string, number>> {
  if (questions.length === 0) return new Map()
  const { rows } = await query<{ id: string; turn: number }>(database, 'take turns', TAKE, [
    questions.map(({ tenantId }) => tenantId),
    questions.map(({ solutionId }) => solutionId),
  ])
  return new Map(rows.map(({ id, turn }) => [id, turn]))
}
