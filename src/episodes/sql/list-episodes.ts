import { type Database, query } from '#database'
import type { Place } from '../cursor.ts'
import type { EpisodeFilter, EpisodeSummary } from '../episode.ts'
import { FROM_EPISODES, SUMMARY_COLUMNS, type SummaryRow, toSummary } from './episode-row.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

/**
 * A filter that is null excludes nothing; Postgres plans each statement with its values, so such a filter costs nothing.
 * A literal as a regular expression is found in time linear in the question; `ilike` takes that times the length of the text.
 */
const SQL = `
  select ${SUMMARY_COLUMNS} ${FROM_EPISODES}
  where e.tenant_id = $1 and (e.created_at, e.id) < ($2::timestamptz, $3::uuid) and ${KEPT_OF_TENANT}
    and ($5::text is null or e.question ~* $5)
    and ($6::text is null or e.answer = $6)
    and ($7::text is null or $7 = case when c.label then 'right' when not c.label then 'wrong' else 'unknown' end)
    and ($8::double precision is null or e.reward >= $8)
    and ($9::double precision is null or e.reward <= $9)
    and ($10::boolean is null or e.steers = $10)
    and ($11::text is null or e.strategy = $11)
    and ($12::uuid is null or e.ancestors @> array[$12])
  order by e.created_at desc, e.id desc
  limit $4`

export interface ListOptions {
  readonly filter: EpisodeFilter
  readonly after: Place
  readonly limit: number
}

/** Returns the episodes older than `after` that pass the filter, newest first. */
export async function listEpisodes(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  { filter, after, limit }: ListOptions,
): Promise<readonly EpisodeSummary[]> {
  const values = [
    tenantId,
    after.createdAt,
    after.id,
    limit,
    filter.question === undefined ? null : `***=${filter.question}`,
    filter.answer ?? null,
    filter.label ?? null,
    filter.minReward ?? null,
    filter.maxReward ?? null,
    filter.steers ?? null,
    filter.strategy ?? null,
    filter.ledBy ?? null,
  ]
  const { rows } = await query<SummaryRow>(database, 'list episodes', SQL, values)
  return rows.map(toSummary)
}
