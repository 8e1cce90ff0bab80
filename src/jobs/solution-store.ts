/** @file Questions that are answered in the background: their records in Postgres. */

import { type Database, isUuid, query } from '#database'
import { ServiceError } from '#errors'
import { CALL_WEBHOOK, RUN_SOLUTION } from './contracts.ts'

type SolutionStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'

/** A question to answer. */
interface NewSolution {
  readonly tenantId: string
  readonly id: string
  /** Anything that JSON holds. */
  readonly request: unknown
  /** Address that gets the outcome; null: none. */
  readonly webhook?: string | null
  /** Id of the HTTP request, and its trace. */
  readonly requestId?: string | undefined
  readonly traceparent?: string | undefined
}

export interface SolutionRecord {
  readonly id: string
  readonly status: SolutionStatus
  readonly createdAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** Solution, or problem of a failure; null before. */
  readonly result: unknown
}

/** A question that a process has begun to work on. */
interface BegunSolution {
  readonly request: unknown
  /** Whether another attempt was begun before, which may have stored the episode. */
  readonly isRetry: boolean
}

/** @throws ServiceError STORE_UNAVAILABLE from every method */
export interface SolutionStore {
  /** Adds a question and its job, in one transaction. A question whose id exists stays as it is. */
  add(solution: NewSolution): Promise<void>
  /** @throws ServiceError SOLUTION_NOT_FOUND */
  get(tenantId: string, id: string): Promise<SolutionRecord>
  /** Cancels a question; one that has ended stays as it is. @throws ServiceError SOLUTION_NOT_FOUND */
  cancel(tenantId: string, id: string): Promise<SolutionRecord>
  /** Begins an attempt. @returns null for a question that has ended or is gone */
  begin(tenantId: string, id: string): Promise<BegunSolution | null>
  /** Notes that its process lives. @returns whether somebody still wants the answer */
  keep(tenantId: string, id: string): Promise<boolean>
  /** Returns an outcome and the address that gets it; null when there is none, or no such question any more. */
  webhook(
    tenantId: string,
    id: string,
  ): Promise<{ readonly url: string; readonly record: SolutionRecord } | null>
  /** Stores the outcome of a running question, and the job of its webhook. */
  finish(tenantId: string, id: string, status: 'succeeded' | 'failed', result: unknown): Promise<void>
}

const ADD = `
  with added as (
    insert into solutions (tenant_id, id, request, webhook) values ($1, $2, $3, $6)
    on conflict do nothing returning tenant_id, id
  )
  insert into outbox (tenant_id, kind, payload)
  select tenant_id, '${RUN_SOLUTION}', jsonb_strip_nulls(jsonb_build_object(
    'tenantId', tenant_id, 'solutionId', id, 'requestId', $4::text, 'traceparent', $5::text
  ))
  from added`

const COLUMNS = `
  id, status, created_at as "createdAt", started_at as "startedAt", finished_at as "finishedAt", result`
const OF_ONE = 'tenant_id = $1 and id = $2'

const GET = `select ${COLUMNS} from solutions where ${OF_ONE}`

const CANCEL = `
  update solutions set
    status = case when finished_at is null then 'cancelled' else status end,
    finished_at = coalesce(finished_at, now())
  where ${OF_ONE} returning ${COLUMNS}`

const BEGIN = `
  update solutions set
    status = 'running', attempts = attempts + 1, seen_at = now(), started_at = coalesce(started_at, now())
  where ${OF_ONE} and finished_at is null returning request, attempts`

const KEEP = `update solutions set seen_at = now() where ${OF_ONE} and finished_at is null`

const FINISH = `
  with finished as (
    update solutions set status = $3, result = $4, finished_at = now() where ${OF_ONE} and finished_at is null
    returning tenant_id, id, webhook
  )
  insert into outbox (tenant_id, kind, payload)
  select tenant_id, '${CALL_WEBHOOK}', jsonb_build_object('tenantId', tenant_id, 'solutionId', id)
  from finished where webhook is not null`

const WEBHOOK = `select ${COLUMNS}, webhook from solutions where ${OF_ONE} and webhook is not null`

interface Row {
  readonly id: string
  readonly status: SolutionStatus
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly finishedAt: Date | null
  readonly result: string | null
}

export function createSolutionStore({
  database,
}: {
  readonly database: Pick<Database, 'pool'>
}): SolutionStore {
  async function one(operation: string, sql: string, tenantId: string, id: string): Promise<SolutionRecord> {
    const { rows } = isUuid(id)
      ? await query<Row & Record<string, unknown>>(database, operation, sql, [tenantId, id])
      : { rows: [] }
    const [row] = rows
    if (row === undefined)
      throw new ServiceError('SOLUTION_NOT_FOUND', `${operation}: expected the id of a solution, got ${id}`)
    return toRecord(row)
  }

  return {
    async add({ tenantId, id, request, requestId = null, traceparent = null, webhook = null }) {
      const values = [tenantId, id, JSON.stringify(request), requestId, traceparent, webhook]
      await query(database, 'add solution', ADD, values)
    },
    get: (tenantId, id) => one('get solution', GET, tenantId, id),
    cancel: (tenantId, id) => one('cancel solution', CANCEL, tenantId, id),
    async begin(tenantId, id) {
      const { rows } = await query<{ request: string; attempts: number }>(database, 'begin solution', BEGIN, [
        tenantId,
        id,
      ])
      const [row] = rows
      return row === undefined ? null : { request: JSON.parse(row.request), isRetry: row.attempts > 1 }
    },
    async keep(tenantId, id) {
      return (await query(database, 'keep solution', KEEP, [tenantId, id])).rowCount === 1
    },
    async webhook(tenantId, id) {
      const { rows } = await query<Row & { webhook: string }>(database, 'read webhook', WEBHOOK, [
        tenantId,
        id,
      ])
      const [row] = rows
      return row === undefined ? null : { url: row.webhook, record: toRecord(row) }
    },
    async finish(tenantId, id, status, result) {
      await query(database, 'finish solution', FINISH, [tenantId, id, status, JSON.stringify(result)])
    },
  }
}

function toRecord(row: Row): SolutionRecord {
  return {
    id: row.id,
    status: row.status,
    createdAt: row.createdAt.toISOString(),
    startedAt: row.startedAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
    result: row.result === null ? null : JSON.parse(row.result),
  }
}

/** Statement of maintenance: hands over again the jobs of questions of which no process has given a sign of life. */
export const RELAY_SOLUTIONS_AGAIN = `
  update outbox set relayed_at = null, claimed_until = null
  from solutions
  where outbox.kind = '${RUN_SOLUTION}' and outbox.relayed_at < now() - interval '2 minutes'
    and solutions.tenant_id = outbox.tenant_id and solutions.id = (outbox.payload ->> 'solutionId')::uuid
    and solutions.finished_at is null and solutions.seen_at < now() - interval '2 minutes'`

/** Statement of maintenance: deletes questions and answers of more than a day ago. */
export const DELETE_OLD_SOLUTIONS = "delete from solutions where created_at < now() - interval '24 h'"
