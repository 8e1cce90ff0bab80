/** @file Checks the dependencies for `/readyz`, in bounded time. */

import { setTimeout } from 'node:timers/promises'
import type { Database } from '#database'
import type { Engine } from '#engine'
import type { Health } from '#http'
import type { Queues } from '#jobs'

const HEALTH_CHECK_TIMEOUT_MS = 2000

/**
 * Checks all dependencies concurrently. Never includes a driver's message, which may contain hosts and
 * users.
 */
export async function checkHealth(parts: {
  readonly database: Database
  readonly queues: Queues
  readonly engine: Engine
}): Promise<Health> {
  const [database, queue] = await Promise.all([databaseFault(parts.database), queueFault(parts.queues)])
  const { model } = parts.engine
  const { state, provider } = parts.engine.status()
  return {
    database: database === null ? { ok: true } : { ok: false, detail: database },
    queue: queue === null ? { ok: true } : { ok: false, detail: queue },
    engine: { ok: state === 'ready', detail: `${state} on ${provider}` },
    model: { ok: true, detail: `${model.id} ${model.fingerprint.slice(0, 12)}` },
  }
}

/** Returns why the database is not usable for reads and writes; null if it is. */
export function databaseFault(database: Pick<Database, 'check'>): Promise<string | null> {
  return faultOf(async () => ((await database.check()) === 'read-only' ? 'refuses writes' : null))
}

/** Returns why the queue is not usable; null if it is. */
export function queueFault(queues: Pick<Queues, 'ping'>): Promise<string | null> {
  return faultOf(() => queues.ping().then(() => null))
}

/** @param ask returns the fault, null for none */
async function faultOf(ask: () => Promise<string | null>): Promise<string | null> {
  const answered = new AbortController()
  const late = setTimeout(HEALTH_CHECK_TIMEOUT_MS, `no answer within ${HEALTH_CHECK_TIMEOUT_MS} ms`, {
    signal: answered.signal,
  })
  try {
    return await Promise.race([ask(), late])
  } catch {
    return 'not reachable'
  } finally {
    answered.abort()
    late.catch(() => {})
  }
}
