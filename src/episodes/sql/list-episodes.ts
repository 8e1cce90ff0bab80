import { type Database, query } from '#database'
import type { Place } from '../cursor.ts'
import type { EpisodeSummary } from '../episode.ts'
import { FROM_EPISODES, SUMMARY_COLUMNS, type SummaryRow, toSummary } from './episode-row.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

const SQL = `
  select ${SUMMARY_COLUMNS} ${FROM_EPISODES}
  where e.tenant_id = $1 and (e.created_at, e.id) < ($2::timestamptz, $3::uuid) and ${KEPT_OF_TENANT}
  order by e.created_at desc, e.id desc
  limit $4`

/** Returns the episodes older than `after`, newest first. */
export async function listEpisodes(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  after: Place,
  limit: number,
): Promise<readonly EpisodeSummary[]> {
  const values = [tenantId, after.createdAt, after.id, limit]
  const { rows } = await query<SummaryRow>(database, 'list episodes', SQL, values)
  return rows.map(toSummary)
}
