import { type Database, query } from '#database'
import type { Consolidation } from '../consolidation.ts'
import { CONSOLIDATION_COLUMNS, type ConsolidationRow, toConsolidation } from './consolidation-row.ts'

const SQL = `select ${CONSOLIDATION_COLUMNS} from consolidations where id = $1`

export async function getConsolidation(
  database: Pick<Database, 'pool'>,
  id: string,
): Promise<Consolidation | null> {
  const { rows } = await query<ConsolidationRow>(database, 'get consolidation', SQL, [id])
  return rows[0] === undefined ? null : toConsolidation(rows[0])
}
