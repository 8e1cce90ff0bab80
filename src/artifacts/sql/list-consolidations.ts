import { type Database, query } from '#database'
import type { Consolidation } from '../consolidation.ts'
import { CONSOLIDATION_COLUMNS, type ConsolidationRow, toConsolidation } from './consolidation-row.ts'

const SQL = `
  select ${CONSOLIDATION_COLUMNS} from consolidations
  where $1::text is null or fingerprint = $1
  order by created_at desc, id desc
  limit $2`

/** Returns consolidations, newest first. */
export async function listConsolidations(
  database: Pick<Database, 'pool'>,
  { fingerprint, limit }: { readonly fingerprint?: string; readonly limit: number },
): Promise<readonly Consolidation[]> {
  const values = [fingerprint ?? null, limit]
  const { rows } = await query<ConsolidationRow>(database, 'list consolidations', SQL, values)
  return rows.map(toConsolidation)
}
