/** @file Deletions of all episodes of a tenant: the request, one bite of the work, the record. */

import type { PoolClient } from 'pg'
import { type Database, query, transaction } from '#database'
import type { Deletion } from '../deletion.ts'
import { lockSteering } from './relabel-candidates.ts'

/** Waits for the inserts of the tenant that have not seen the new cut-off (`insert_after_erasure`). */
const LOCK = "select pg_advisory_xact_lock(hashtextextended('erasure ' || $1, 0))"

/** Takes every episode that exists, whatever the clock of the process that created it showed. */
const CUT_OFF = `
  insert into tenant_cutoffs (tenant_id, erased_until)
  select $1, coalesce(max(created_at), '-infinity') from episodes where tenant_id = $1
  on conflict (tenant_id) do update
    set erased_until = greatest(tenant_cutoffs.erased_until, excluded.erased_until)`

const COLUMNS = `
  id, requested_at, started_at, finished_at, episodes, candidates, thoughts, latents, jobs, withdrawn, artifacts`

const REQUEST = `
  insert into deletions (tenant_id, remaining_until) select $1, erased_until($1)
  on conflict (tenant_id) where finished_at is null do update set remaining_until = excluded.remaining_until
  returning ${COLUMNS}`

const FIND = `select ${COLUMNS} from deletions where tenant_id = $1 and id = $2`

interface Row {
  readonly id: string
  readonly requested_at: Date
  readonly started_at: Date | null
  readonly finished_at: Date | null
  readonly episodes: number
  readonly candidates: number
  readonly thoughts: number
  readonly latents: number
  readonly jobs: number
  readonly withdrawn: number
  readonly artifacts: readonly string[]
}

/**
 * Hides all episodes of a tenant and records that they are to be erased. While a deletion of the tenant is
 * unfinished, it takes the episodes stored since as well, and its record is returned.
 */
export async function requestDeletion(database: Pick<Database, 'pool'>, tenantId: string): Promise<Deletion> {
  return transaction(database, 'request deletion', async (client) => {
    await client.query(LOCK, [tenantId])
    await client.query(CUT_OFF, [tenantId])
    const { rows } = await client.query<Row>(REQUEST, [tenantId])
    return toDeletion(only(rows))
  })
}

/** @returns null when the tenant has no such deletion */
export async function getDeletion(
  database: Pick<Database, 'pool'>,
  tenantId: string,
  id: string,
): Promise<Deletion | null> {
  const { rows } = await query<Row>(database, 'get deletion', FIND, [tenantId, id])
  return rows[0] === undefined ? null : toDeletion(rows[0])
}

/** Takes the deletion that has waited longest; another worker skips it while it is locked. */
const NEXT = `
  select tenant_id, id, remaining_until::text from deletions
  where finished_at is null
  order by last_bite_at nulls first, requested_at, id
  limit 1
  for update skip locked`

/**
 * Erases the newest remaining episodes: descendants go before their ancestors, so few rows are updated only to be
 * deleted in the next bite. The counts read the state before the statement. A kept descendant counts in the bite
 * that erases the first of its ancestors.
 */
const ERASE = `
  with bite as materialized (
    select id, created_at from episodes
    where tenant_id = $1 and created_at <= $2
    order by created_at desc, id desc
    limit $3
  ),
  jobs as (
    delete from outbox using bite
    where tenant_id = $1 and kind = 'episode.index' and payload ->> 'episodeId' = bite.id::text
    returning outbox.id
  ),
  erased as (
    delete from episodes using bite where tenant_id = $1 and episodes.id = bite.id returning episodes.id
  )
  select
    (select count(*)::integer from erased) as episodes,
    (select count(*)::integer from candidates join bite on episode_id = bite.id where tenant_id = $1)
      as candidates,
    (select count(*)::integer from candidate_thoughts join bite on episode_id = bite.id where tenant_id = $1)
      as thoughts,
    (select count(*)::integer from episode_latents join bite on episode_id = bite.id where tenant_id = $1)
      as latents,
    (select count(*)::integer from jobs) as jobs,
    (
      select count(*)::integer from episodes as kept
      where tenant_id = $1 and created_at > (select erased_until($1)) and withdrawn
        and ancestors && (select coalesce(array_agg(id), '{}') from bite)
        and not exists (
          select from unnest(ancestors) as ancestor (id)
          where not exists (select from episodes where tenant_id = $1 and episodes.id = ancestor.id)
        )
    ) as withdrawn,
    array(
      select distinct artifact_id from artifact_episodes join bite on episode_id = bite.id where tenant_id = $1
    ) as artifacts,
    (select min(created_at)::text from bite) as remaining_until`

const RECORD = `
  update deletions set
    started_at = coalesce(started_at, now()),
    last_bite_at = clock_timestamp(),
    finished_at = case when $3 then clock_timestamp() end,
    remaining_until = coalesce($4, remaining_until),
    episodes = episodes + $5,
    candidates = candidates + $6,
    thoughts = thoughts + $7,
    latents = latents + $8,
    jobs = jobs + $9,
    withdrawn = withdrawn + $10,
    artifacts = array(select unnest(artifacts) union select unnest($11::uuid[]) order by 1)
  where tenant_id = $1 and id = $2
  returning ${COLUMNS}`

/** Number of episodes of one bite: tens of milliseconds, and one commit. */
const BITE_EPISODES = 200

/**
 * Does one bite of the deletion that has waited longest, in one transaction with its record, so a bite that a
 * crash ends is done again as a whole. Several workers may call it at once.
 *
 * @returns the record after the bite; null when no deletion is waiting
 */
export async function eraseBite(
  database: Pick<Database, 'pool'>,
  biteEpisodes: number = BITE_EPISODES,
): Promise<Deletion | null> {
  return transaction(database, 'erase episodes', async (client) => {
    const { rows } = await client.query<{ tenant_id: string; id: string; remaining_until: string }>(NEXT)
    return rows[0] === undefined ? null : await erase(client, rows[0], biteEpisodes)
  })
}

async function erase(
  client: PoolClient,
  {
    tenant_id: tenantId,
    id,
    remaining_until: until,
  }: { tenant_id: string; id: string; remaining_until: string },
  biteEpisodes: number,
): Promise<Deletion> {
  await lockSteering(client, tenantId)
  const { rows } = await client.query<Row & { readonly remaining_until: string | null }>(ERASE, [
    tenantId,
    until,
    biteEpisodes,
  ])
  const bite = only(rows)
  const recorded = await client.query<Row>(RECORD, [
    tenantId,
    id,
    bite.episodes < biteEpisodes,
    bite.remaining_until,
    bite.episodes,
    bite.candidates,
    bite.thoughts,
    bite.latents,
    bite.jobs,
    bite.withdrawn,
    bite.artifacts,
  ])
  return toDeletion(only(recorded.rows))
}

/** Keeps the records of finished deletions for a year, as proof. */
const PRUNE = "delete from deletions where finished_at < now() - interval '365 days'"

/** Deletes the records of old deletions; their cut-offs stay. */
export async function pruneDeletions(database: Pick<Database, 'pool'>): Promise<void> {
  await query(database, 'prune deletions', PRUNE)
}

function only<T>(rows: readonly T[]): T {
  const [row] = rows
  if (row === undefined) throw new Error('internal: deletion: expected a row, got none')
  return row
}

function toDeletion(row: Row): Deletion {
  const { started_at: startedAt, finished_at: finishedAt } = row
  return {
    id: row.id,
    status: finishedAt !== null ? 'finished' : startedAt !== null ? 'running' : 'queued',
    requestedAt: row.requested_at.toISOString(),
    startedAt: startedAt?.toISOString() ?? null,
    finishedAt: finishedAt?.toISOString() ?? null,
    deleted: {
      episodes: row.episodes,
      candidates: row.candidates,
      thoughts: row.thoughts,
      latents: row.latents,
      jobs: row.jobs,
    },
    withdrawn: row.withdrawn,
    artifacts: row.artifacts,
  }
}
