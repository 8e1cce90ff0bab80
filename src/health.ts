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
  const [database, queue] = await Promise.all([
    answers(() => parts.database.pool.query('select 1')),
    answers(() => parts.queues.ping()),
  ])
  const { model } = parts.engine
  const { state, provider } = parts.engine.status()
  return {
    database,
    queue,
    engine: { ok: state === 'ready', detail: `${state} on ${provider}` },
    model: { ok: true, detail: `${model.id} ${model.fingerprint.slice(0, 12)}` },
  }
}

async function answers(ask: () => Promise<unknown>): Promise<Health['database']> {
  const answered = new AbortController()
  const late = setTimeout(HEALTH_CHECK_TIMEOUT_MS, `no answer within ${HEALTH_CHECK_TIMEOUT_MS} ms`, {
    signal: answered.signal,
  })
  try {
    const detail = await Promise.race([ask().then(() => null), late])
    return detail === null ? { ok: true } : { ok: false, detail }
  } catch {
    return { ok: false, detail: 'not reachable' }
  } finally {
    answered.abort()
    late.catch(() => {})
  }
}
