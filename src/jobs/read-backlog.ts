/** @file Figures of the background work of all processes, read from the database. */

import { type Database, query } from '#database'

export interface Backlog {
  /** Rows of the outbox that wait for the relay. */
  readonly outboxRows: number
  /** Age of the oldest one in seconds; 0 when none waits. */
  readonly outboxAgeSeconds: number
  /** Episodes without labels. */
  readonly episodesPending: number
  /** End of the last consolidation that did not fail, in seconds since the epoch; null when there is none. */
  readonly lastSuccessSeconds: number | null
  /** Time that the last consolidation took, in seconds; null when none has ended. */
  readonly lastDurationSeconds: number | null
  readonly consolidationsFailed: number
  /** Versions that were rolled back because their live outcomes had fallen. */
  readonly rollbacks: number
  /** Longest time, in seconds, since an unfinished deletion was requested or last erased rows; 0 without one. */
  readonly deletionIdleSeconds: number
}

const SQL = `
  select
    (select count(*)::float8 from outbox where relayed_at is null) as "outboxRows",
    (select coalesce(extract(epoch from now() - min(created_at)), 0)::float8
      from outbox where relayed_at is null) as "outboxAgeSeconds",
    (select count(*)::float8 from episodes where status = 'pending') as "episodesPending",
    (select extract(epoch from max(finished_at))::float8
      from consolidations where status in ('promoted', 'awaiting-review', 'rejected')) as "lastSuccessSeconds",
    (select extract(epoch from finished_at - coalesce(started_at, created_at))::float8
      from consolidations where finished_at is not null
      order by sequence desc limit 1) as "lastDurationSeconds",
    (select count(*)::float8 from consolidations where status = 'failed') as "consolidationsFailed",
    (select count(*)::float8 from artifacts where rolled_back_at is not null) as "rollbacks",
    (select coalesce(extract(epoch from max(now() - coalesce(last_bite_at, requested_at))), 0)::float8
      from deletions where finished_at is null) as "deletionIdleSeconds"`

/** @throws ServiceError STORE_UNAVAILABLE */
export async function readBacklog(database: Pick<Database, 'pool'>): Promise<Backlog> {
  const { rows } = await query<Record<keyof Backlog, number> & Backlog>(database, 'read backlog', SQL)
  if (rows[0] === undefined) throw new Error('read backlog: expected a row, got none')
  return rows[0]
}
