import { type Database, query } from '#database'
import type { Consolidation } from '../consolidation.ts'
import { CONSOLIDATION_COLUMNS, type ConsolidationRow, toConsolidation } from './consolidation-row.ts'

const SQL = `
  select ${CONSOLIDATION_COLUMNS} from consolidations
  where $1::text is null or fingerprint = $1
  order by sequence desc
  limit $2`

/** Returns consolidations, the one requested last first, whatever the clock showed. */
export async function listConsolidations(
  database: Pick<Database, 'pool'>,
  { fingerprint, limit }: { readonly fingerprint?: string; readonly limit: number },
): Promise<readonly Consolidation[]> {
  const values = [fingerprint ?? null, limit]
  const { rows } = await query<ConsolidationRow>(database, 'list consolidations', SQL, values)
  return rows.map(toConsolidation)
}
