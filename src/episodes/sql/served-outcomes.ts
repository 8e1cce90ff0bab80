import { type Database, query } from '#database'
import type { OutcomeRequest, ServedOutcomes } from '../training-store.ts'

/** Upper bound on the outcomes that are counted; the newest are. */
const MAX_OUTCOMES = 20_000

const COLUMNS = { weaver: 'weaver_version', lrm: 'reward_model_version', judge: 'judge_version' } as const

/** Reads the partial index of the column alone. `verdict`: what feedback or reference say of the answer. */
const sqlOf = (column: string) => `
  select tenant_id, strategy, count(*)::integer as n, (count(*) filter (where verdict))::integer as "right"
  from (
    select tenant_id, strategy, verdict from episodes
    where fingerprint = $1 and ${column} = $2 and verdict is not null and origin = 'request'
      and created_at >= coalesce($3::timestamptz, '-infinity')
      and created_at < coalesce($4::timestamptz, 'infinity')
    order by created_at desc limit ${MAX_OUTCOMES}
  ) as newest
  group by tenant_id, strategy`

interface Row {
  readonly tenant_id: string
  readonly strategy: string
  readonly n: number
  readonly right: number
}

export async function servedOutcomes(
  database: Pick<Database, 'pool'>,
  { fingerprint, kind, version, from, until }: OutcomeRequest,
): Promise<readonly ServedOutcomes[]> {
  const values = [fingerprint, version, from ?? null, until ?? null]
  const { rows } = await query<Row>(database, 'served outcomes', sqlOf(COLUMNS[kind]), values)
  return rows.map(({ tenant_id, ...counts }) => ({ tenantId: tenant_id, ...counts }))
}
