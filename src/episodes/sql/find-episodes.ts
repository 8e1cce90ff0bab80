import { type Database, query } from '#database'
import type { EpisodeSummary } from '../episode.ts'
import { FROM_EPISODES, SUMMARY_COLUMNS, type SummaryRow, toSummary } from './episode-row.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

const SQL = `
  select ${SUMMARY_COLUMNS} ${FROM_EPISODES}
  join unnest($2::uuid[]) with ordinality as wanted (id, place) on wanted.id = e.id
  where e.tenant_id = $1 and ${KEPT_OF_TENANT}
  order by wanted.place`

/** Returns the episodes with these ids, in the order of the ids, without those that do not exist. */
export async function findEpisodes(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  ids: readonly string[],
): Promise<readonly EpisodeSummary[]> {
  if (ids.length === 0) return []
  const { rows } = await query<SummaryRow>(database, 'find episodes', SQL, [tenantId, ids])
  return rows.map(toSummary)
}
