import { type Database, query } from '#database'
import type { Consolidation } from '../consolidation.ts'
import type { ConsolidationRequest } from '../stores.ts'
import { CONSOLIDATION_COLUMNS, type ConsolidationRow, toConsolidation } from './consolidation-row.ts'

/**
 * Adds a consolidation and its outbox row in one statement, so in one transaction. The outbox row, and so
 * the job, has the id of the consolidation. Adds nothing while another consolidation of the model is
 * unfinished.
 */
const REQUEST = `
  with requested as (
    insert into consolidations (fingerprint, kinds, force, trigger)
    values ($1, $2, $3, $4)
    on conflict (fingerprint) where status in ('queued', 'running') do nothing
    returning ${CONSOLIDATION_COLUMNS}
  ),
  outbox_row as (
    insert into outbox (tenant_id, id, kind, payload)
    select '', id, 'consolidation.run', jsonb_strip_nulls(
      jsonb_build_object('consolidationId', id, 'requestId', $5::text, 'traceparent', $6::text)
    )
    from requested
  )
  select * from requested`

const UNFINISHED = `
  select ${CONSOLIDATION_COLUMNS} from consolidations
  where fingerprint = $1 and status in ('queued', 'running')`

export async function requestConsolidation(
  database: Pick<Database, 'pool'>,
  { fingerprint, kinds, force, trigger, requestId, traceparent }: ConsolidationRequest,
): Promise<Consolidation> {
  for (;;) {
    const values = [fingerprint, kinds, force, trigger, requestId ?? null, traceparent ?? null]
    const { rows } = await query<ConsolidationRow>(database, 'request consolidation', REQUEST, values)
    const row = rows[0] ?? (await unfinished(database, fingerprint))
    // No row: the unfinished consolidation has ended between the two statements.
    if (row !== undefined) return toConsolidation(row)
  }
}

async function unfinished(
  database: Pick<Database, 'pool'>,
  fingerprint: string,
): Promise<ConsolidationRow | undefined> {
  const { rows } = await query<ConsolidationRow>(database, 'request consolidation', UNFINISHED, [fingerprint])
  return rows[0]
}
