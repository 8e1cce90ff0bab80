/** @file What led an episode, what it led, and what its deletion changes. */

import { type Database, query } from '#database'
import type { EpisodeInfluence, TrainedArtifact } from '../episode.ts'
import { FROM_EPISODES, SUMMARY_COLUMNS, type SummaryRow, toSummary } from './episode-row.ts'
import { KEPT_OF_TENANT } from './kept-episodes.ts'

/** Upper bound on the listed episodes that an episode led. */
const MAX_LED = 100
/** Upper bound on the listed artifacts. */
const MAX_ARTIFACTS = 100

const LED_BY = `
  select ${SUMMARY_COLUMNS} ${FROM_EPISODES}
  where e.tenant_id = $1 and ${KEPT_OF_TENANT}
    and e.id = any (select unnest(ancestors) from episodes where tenant_id = $1 and id = $2)
  order by e.created_at desc, e.id desc`

const LED = `
  select ${SUMMARY_COLUMNS} ${FROM_EPISODES}
  where e.tenant_id = $1 and ${KEPT_OF_TENANT} and e.ancestors @> array[$2::uuid]
  order by e.created_at desc, e.id desc
  limit ${MAX_LED}`

/**
 * Counts what the trigger `refresh_after_delete` would change (migrations/0080_deletions.sql). Descendants are
 * withdrawn unless a caller has confirmed them, and so are theirs; those that are withdrawn already stay so.
 */
const DELETION = `
  with recursive affected (id) as (
    select $2::uuid
    union
    select e.id from affected
    join episodes as e on e.tenant_id = $1 and e.ancestors @> array[affected.id]
    where e.verdict is not true and not e.withdrawn and ${KEPT_OF_TENANT}
  )
  select
    (select count(*)::integer - 1 from affected) as withdrawn,
    (
      select count(*)::integer from episodes
      where tenant_id = $1 and ${KEPT_OF_TENANT} and (dominated_by = $2 or superseded_by = $2)
    ) as released
  from episodes where tenant_id = $1 and id = $2 and ${KEPT_OF_TENANT}`

const ARTIFACTS = `
  select artifacts.id, artifacts.kind || '-' || artifacts.number as version, artifacts.active
  from artifact_episodes join artifacts on artifacts.id = artifact_id
  where tenant_id = $1 and episode_id = $2
  order by artifacts.created_at desc, artifacts.id
  limit ${MAX_ARTIFACTS}`

/** @returns null when there is no such episode */
export async function episodeInfluence(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  id: string,
): Promise<EpisodeInfluence | null> {
  const read = async <Row extends object>(sql: string) =>
    (await query<Row>(database, 'influence of episode', sql, [tenantId, id])).rows
  const [deletion] = await read<{ withdrawn: number; released: number }>(DELETION)
  if (deletion === undefined) return null
  return {
    ledBy: (await read<SummaryRow>(LED_BY)).map(toSummary),
    led: (await read<SummaryRow>(LED)).map(toSummary),
    deletion: { ...deletion, artifacts: await read<TrainedArtifact>(ARTIFACTS) },
  }
}
