import { type Database, query } from '#database'
import type { Consolidation } from '../consolidation.ts'
import { CONSOLIDATION_COLUMNS, type ConsolidationRow, toConsolidation } from './consolidation-row.ts'

const SQL = `
  update consolidations set
    status = case when finished_at is null then 'running' else status end,
    started_at = case when finished_at is null then coalesce(started_at, now()) else started_at end,
    attempts = attempts + case when finished_at is null then 1 else 0 end
  where id = $1
  returning ${CONSOLIDATION_COLUMNS}`

/**
 * Begins a consolidation, or begins it again; does not change an ended one. @returns null when it does not
 * exist
 */
export async function beginConsolidation(
  database: Pick<Database, 'pool'>,
  id: string,
): Promise<Consolidation | null> {
  const { rows } = await query<ConsolidationRow>(database, 'begin consolidation', SQL, [id])
  return rows[0] === undefined ? null : toConsolidation(rows[0])
}
