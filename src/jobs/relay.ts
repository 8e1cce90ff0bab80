/** @file Hands the outbox over to the queues. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Outbox, OutboxRow } from '#episodes'
import { coerceError } from '#errors'
import { QUEUE_OF, type QueueName } from './contracts.ts'
import type { JobQueue } from './job-queue.ts'

/** Polls rather than waits for a notification, which the embedded database may lose: 200 ms is the delay of a day's job. */
const POLL_MS = 200
/** Between tries while the database or the queue is away. */
const OUTAGE_POLL_MS = 1_000
/** A connection that is being made, or made again, is no outage yet. */
const OUTAGE_AFTER_MS = 2_000
const MAX_BATCH_ROWS = 100
/** Longer than any hand-over takes; what a dead relay had claimed waits that long. */
const LEASE_MS = 15_000

export interface RelayParts {
  readonly outbox: Pick<Outbox, 'claim' | 'markRelayed' | 'release'>
  readonly queues: Readonly<Record<QueueName, Pick<JobQueue, 'isReady' | 'add'>>>
  readonly logger: Logger
}

export interface Relay {
  /** Finishes the batch in hand. */
  close(): Promise<void>
}

/**
 * Starts relaying. Every row reaches the queue of its kind at least once, under its own id; any number of relays may run. While
 * the database or the queue is away it keeps trying and says so once.
 */
export function startRelay({ outbox, queues, logger }: RelayParts): Relay {
  const stopping = new AbortController()
  let isOut = false
  let lastReady = performance.now()

  async function relayBatch(): Promise<number> {
    const rows = await outbox.claim(MAX_BATCH_ROWS, LEASE_MS)
    if (rows.length === 0) return 0
    const known = rows.filter(({ kind }) => Object.hasOwn(QUEUE_OF, kind))
    // Of a later release, whose own relay gets them when the lease ends.
    if (known.length < rows.length)
      logger.warn({ rows: rows.length - known.length }, 'relay: rows of unknown kinds are left')
    const ids = known.map(({ id }) => id)
    try {
      await handOver(queues, known)
    } catch (thrown) {
      // Without this they would wait for the end of the lease, which is only slower.
      await outbox.release(ids).catch(() => {})
      throw thrown
    }
    await outbox.markRelayed(ids)
    return rows.length
  }

  function noteOutage(error: Error): void {
    if (!isOut) logger.warn({ err: error }, 'relay: work waits in the outbox')
    isOut = true
  }

  function noteRecovery(): void {
    if (isOut) logger.info('relay: work flows again')
    isOut = false
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let relayed = 0
      try {
        if (Object.values(queues).every((queue) => queue.isReady())) {
          relayed = await relayBatch()
          lastReady = performance.now()
          noteRecovery()
        } else if (performance.now() - lastReady > OUTAGE_AFTER_MS) noteOutage(new Error('the queue is away'))
      } catch (thrown) {
        noteOutage(coerceError(thrown))
      }
      if (relayed === MAX_BATCH_ROWS) continue
      await delay(isOut ? OUTAGE_POLL_MS : POLL_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const running = run()
  return {
    close: () => {
      stopping.abort()
      return running
    },
  }
}

async function handOver(queues: RelayParts['queues'], rows: readonly OutboxRow[]): Promise<void> {
  const byQueue = Map.groupBy(rows, ({ kind }) => QUEUE_OF[kind])
  await Promise.all(
    [...byQueue].map(([name, own]) =>
      queues[name].add(own.map(({ id, kind, payload }) => ({ id, name: kind, payload }))),
    ),
  )
}
