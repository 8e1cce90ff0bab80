/** @file The outbox: work for the queue, committed in the same transaction as its cause. */

import { type Database, query } from '#database'

/**
 * Kinds of work. The consolidation store (#artifacts) writes `consolidation.run`, for the whole instance, as
 * tenant ''; the store of solutions (#jobs) writes `solution.run` and `solution.webhook`.
 */
export type OutboxKind = 'episode.index' | 'consolidation.run' | 'solution.run' | 'solution.webhook'

export interface OutboxRow {
  /** Id of the row, and of its job. */
  readonly id: string
  readonly kind: OutboxKind
  /** Contains ids only. */
  readonly payload: unknown
}

/** @throws ServiceError STORE_UNAVAILABLE from every method */
export interface Outbox {
  /**
   * Claims up to `limit` waiting rows, oldest first, for `leaseMs`. Two relays never hold the same row. A
   * row that is neither marked nor released can be claimed again when the lease ends, so each row is handed
   * over at least once.
   */
  claim(limit: number, leaseMs: number): Promise<readonly OutboxRow[]>
  /** Extends the claim of rows that are still being handed over by `leaseMs` from now. */
  renew(ids: readonly string[], leaseMs: number): Promise<void>
  /** Marks rows as handed over to the queue. */
  markRelayed(ids: readonly string[]): Promise<void>
  /** Ends the claim of rows that the queue did not accept, so that they can be claimed again at once. */
  release(ids: readonly string[]): Promise<void>
  /** Returns the number of waiting rows, claimed ones included. */
  waiting(): Promise<number>
  /**
   * Lets rows wait again whose episodes are still pending `olderThanMs` after the hand-over, at most `limit`
   * rows, and none older than `untilMs`: the queue may have lost them (Redis writes its log once a second).
   * The job keeps its id, so a queue that still has the job ignores the second one.
   * @returns the number of rows
   */
  relayAgain(rows: {
    readonly olderThanMs: number
    readonly untilMs: number
    readonly limit: number
  }): Promise<number>
  /**
   * Adds new rows for episodes that are still pending `olderThanMs` after their work was handed over: their
   * jobs have failed for good, and a queue that keeps failed jobs ignores the old id.
   * @returns the number of rows added
   */
  recover(olderThanMs: number): Promise<number>
  /** Deletes rows handed over more than `olderThanMs` ago. @returns the number of deleted rows */
  prune(olderThanMs: number): Promise<number>
}

/**
 * Claims rows by a lease in a column, not by a transaction that stays open while the queue is written: on
 * the embedded database the queue shares the only backend and would wait for that transaction forever.
 */
const CLAIM = `
  update outbox set claimed_until = now() + $1 * interval '1 millisecond'
  where (tenant_id, id) in (
    select tenant_id, id from outbox
    where relayed_at is null and (claimed_until is null or claimed_until <= now())
    order by sequence limit $2
    for update skip locked
  )
  returning id, kind, payload, sequence`

const RENEW = `
  update outbox set claimed_until = now() + $2 * interval '1 millisecond'
  where id = any($1::uuid[]) and relayed_at is null`

const MARK_RELAYED = 'update outbox set relayed_at = now(), claimed_until = null where id = any($1::uuid[])'

const RELEASE = 'update outbox set claimed_until = null where id = any($1::uuid[]) and relayed_at is null'

const WAITING = 'select count(*)::integer as waiting from outbox where relayed_at is null'

const RELAY_AGAIN = `
  update outbox set relayed_at = null, claimed_until = null
  where (tenant_id, id) in (
    select outbox.tenant_id, outbox.id from outbox
    join episodes on episodes.tenant_id = outbox.tenant_id
      and episodes.id = (outbox.payload ->> 'episodeId')::uuid and episodes.status = 'pending'
    where outbox.kind = 'episode.index' and outbox.relayed_at < now() - $1 * interval '1 millisecond'
      and outbox.created_at > now() - $2 * interval '1 millisecond'
    order by outbox.relayed_at limit $3
    for update of outbox skip locked
  )`

/** The last payload of an episode has the request id and the trace of its request, so it is used again. */
const RECOVER = `
  with lost as materialized (
    select tenant_id, id from episodes
    where status = 'pending' and created_at < now() - $1 * interval '1 millisecond' and not exists (
      select from outbox
      where outbox.tenant_id = episodes.tenant_id and outbox.kind = 'episode.index'
        and outbox.payload ->> 'episodeId' = episodes.id::text
        and (relayed_at is null or relayed_at >= now() - $1 * interval '1 millisecond')
    )
  ),
  last as (
    select distinct on (lost.tenant_id, lost.id) lost.tenant_id, lost.id, payload
    from lost
    join outbox on outbox.tenant_id = lost.tenant_id and outbox.kind = 'episode.index'
      and outbox.payload ->> 'episodeId' = lost.id::text
    order by lost.tenant_id, lost.id, sequence desc
  )
  insert into outbox (tenant_id, kind, payload)
  select tenant_id, 'episode.index',
    coalesce(payload, jsonb_build_object('tenantId', tenant_id, 'episodeId', id))
  from lost left join last using (tenant_id, id)`

const PRUNE = "delete from outbox where relayed_at < now() - $1 * interval '1 millisecond'"

/** Creates the outbox. All times are the database's, so relays on several machines agree on leases. */
export function createOutbox({ database }: { readonly database: Pick<Database, 'pool'> }): Outbox {
  return {
    async claim(limit, leaseMs) {
      const values = [leaseMs, limit]
      const { rows } = await query<OutboxRow & { sequence: string }>(
        database,
        'claim outbox rows',
        CLAIM,
        values,
      )
      // UPDATE returns rows in no order. Sequence numbers fit a double.
      return rows
        .sort((a, b) => Number(a.sequence) - Number(b.sequence))
        .map(({ id, kind, payload }) => ({ id, kind, payload }))
    },
    async renew(ids, leaseMs) {
      await query(database, 'renew outbox rows', RENEW, [ids, leaseMs])
    },
    async markRelayed(ids) {
      await query(database, 'mark outbox rows', MARK_RELAYED, [ids])
    },
    async release(ids) {
      await query(database, 'release outbox rows', RELEASE, [ids])
    },
    async waiting() {
      const { rows } = await query<{ waiting: number }>(database, 'count outbox rows', WAITING)
      return rows[0]?.waiting ?? 0
    },
    async relayAgain({ olderThanMs, untilMs, limit }) {
      const values = [olderThanMs, untilMs, limit]
      return (await query(database, 'relay again', RELAY_AGAIN, values)).rowCount ?? 0
    },
    async recover(olderThanMs) {
      return (await query(database, 'recover episodes', RECOVER, [olderThanMs])).rowCount ?? 0
    },
    async prune(olderThanMs) {
      return (await query(database, 'prune outbox', PRUNE, [olderThanMs])).rowCount ?? 0
    },
  }
}
