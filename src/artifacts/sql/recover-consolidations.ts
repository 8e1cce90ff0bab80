import { type Database, query } from '#database'

/**
 * Adds a pruned outbox row again and makes a relayed one wait again; a row that still waits is not changed.
 */
const SQL = `
  insert into outbox (tenant_id, id, kind, payload)
  select '', id, 'consolidation.run', jsonb_build_object('consolidationId', id)
  from consolidations
  where status in ('queued', 'running') and created_at < now() - $1 * interval '1 millisecond'
  on conflict (tenant_id, id) do update set relayed_at = null, claimed_until = null
  where outbox.relayed_at < now() - $1 * interval '1 millisecond'`

/** Queues unfinished consolidations again. @returns the number of consolidations queued again */
export async function recoverConsolidations(
  database: Pick<Database, 'pool'>,
  olderThanMs: number,
): Promise<number> {
  const { rowCount } = await query(database, 'recover consolidations', SQL, [olderThanMs])
  return rowCount ?? 0
}
