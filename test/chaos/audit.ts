/** @file What the database holds after a run, compared with what the clients were told. */

import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

export interface Audit {
  readonly acknowledged: number
  readonly rows: number
  /** Acknowledged episodes without a row. */
  readonly lost: number
  /** Requests with more than one episode. */
  readonly doubled: number
  /** Episodes whose job was not done, or was done more than once. */
  readonly notDone: number
  readonly doneAgain: number
  /** Episodes without exactly one row in the outbox. */
  readonly misposted: number
  readonly drainSeconds: number
}

const DRAIN_TIMEOUT_MS = 120_000

/** Counts, from now on, how often each episode turns from pending to indexed: the effect of its job. */
export async function watchJobs(databaseUrl: string): Promise<void> {
  await withClient(databaseUrl, (client) =>
    client.query(`
      create table chaos_jobs (id uuid not null);
      create function note_job() returns trigger language plpgsql as $$
        begin insert into chaos_jobs values (new.id); return new; end $$;
      create trigger note_job after update on episodes for each row
        when (old.status = 'pending' and new.status = 'indexed') execute function note_job()`),
  )
}

/** Returns whether the job of the episode `id` is done and no other episode has waited longer than `seconds`. */
export async function jobsFlow(databaseUrl: string, id: string, seconds: number): Promise<boolean> {
  const sql = `select from episodes where status = 'pending'
    and (id = $1 or created_at < now() - $2 * interval '1 second') limit 1`
  const { rows } = await withClient(databaseUrl, (client) => client.query(sql, [id, seconds]))
  return rows.length === 0
}

/** Waits until no work is left, at most two minutes, and compares. */
export async function audit(databaseUrl: string, episodeIds: readonly string[]): Promise<Audit> {
  return withClient(databaseUrl, async (client) => {
    const started = performance.now()
    const count = async (sql: string, values: unknown[] = []): Promise<number> =>
      Number(
        (await client.query({ text: `select count(*) from ${sql}`, values, rowMode: 'array' })).rows[0]![0],
      )
    const waiting = async () =>
      (await count(`episodes where status = 'pending'`)) + (await count('outbox where relayed_at is null'))
    while ((await waiting()) > 0 && performance.now() - started < DRAIN_TIMEOUT_MS) await delay(200)
    const drainSeconds = (performance.now() - started) / 1000
    const jobs =
      '(select e.id, count(j.id) as n from episodes e left join chaos_jobs j using (id) group by e.id) as jobs'
    const posts = `(select e.id, count(o.id) as n from episodes e
      left join outbox o on o.payload->>'episodeId' = e.id::text group by e.id) as posts`
    return {
      acknowledged: episodeIds.length,
      rows: await count('episodes'),
      lost: await count('unnest($1::uuid[]) as told (id) where id not in (select id from episodes)', [
        episodeIds,
      ]),
      doubled: await count('(select from episodes group by seed having count(*) > 1) as doubled'),
      notDone: await count(`${jobs} where n = 0`),
      doneAgain: await count(`${jobs} where n > 1`),
      misposted: await count(`${posts} where n <> 1`),
      drainSeconds: Math.round(drainSeconds * 10) / 10,
    }
  })
}

async function withClient<T>(connectionString: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5000, query_timeout: 60_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
