/** @file The relay: moves jobs from the outbox to the queues. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { Compile } from 'typebox/compile'
import type { Outbox, OutboxRow } from '#episodes'
import { coerceError } from '#errors'
import { throttleLog } from '#throttle-log'
import { type NewJob, QUEUE_OF, type QueueName, RUN_SOLUTION, RunSolution } from './contracts.ts'
import type { JobQueue } from './job-queue.ts'
import type { WaitingQuestion } from './take-turns.ts'

/** Interval of polls, hence the delay of a job. No notifications: the embedded database may lose them. */
const POLL_MS = 200
/** Interval of attempts while the database or a queue is unavailable. */
const OUTAGE_POLL_MS = 1_000
/** Time after which an unready queue counts as an outage: connecting or reconnecting takes a moment. */
const OUTAGE_AFTER_MS = 5_000
const MAX_BATCH_ROWS = 100
/**
 * Lease of claimed rows, renewed while they are handed over. Rows claimed by a relay that died wait that long.
 */
const LEASE_MS = 5_000
const RENEW_MS = 1_500

export interface RelayParts {
  readonly outbox: Pick<Outbox, 'claim' | 'renew' | 'markRelayed' | 'release'>
  readonly queues: Readonly<Record<QueueName, Pick<JobQueue, 'isReady' | 'add'>>>
  /** Returns the turns of questions, by the id of the solution. */
  readonly takeTurns: (questions: readonly WaitingQuestion[]) => Promise<ReadonlyMap<string, number>>
  readonly logger: Logger
}

export interface Relay {
  /** Finishes the current batch first. */
  close(): Promise<void>
}

/**
 * Starts the relay. Every row reaches the queue of its kind at least once, with the row's id as the job's.
 * Several relays may run at the same time. During an outage of the database or a queue it keeps trying, and
 * logs a warning at the start and then one a minute.
 */
export function startRelay({ outbox, queues, takeTurns, logger }: RelayParts): Relay {
  const stopping = new AbortController()
  const log = throttleLog(logger)
  let isOut = false
  let isOutageLogged = false
  let lastReady = performance.now()

  async function relayBatch(): Promise<number> {
    const rows = await outbox.claim(MAX_BATCH_ROWS, LEASE_MS)
    if (rows.length === 0) return 0
    const known = rows.filter(({ kind }) => Object.hasOwn(QUEUE_OF, kind))
    // Rows of a later release: its own relay claims them when the lease ends.
    if (known.length < rows.length)
      log.warn(
        'unknown',
        { rows: rows.length - known.length },
        'relay: rows of unknown kinds left in the outbox',
      )
    const ids = known.map(({ id }) => id)
    // A renewal that fails lets the lease end: another relay then hands the rows over as well, with the same ids.
    const renewing = setInterval(() => void outbox.renew(ids, LEASE_MS).catch(() => {}), RENEW_MS)
    try {
      await handOver(queues, known, takeTurns)
      await outbox.markRelayed(ids)
    } catch (thrown) {
      // If the release fails, the rows wait until the lease ends.
      await outbox.release(ids).catch(() => {})
      throw thrown
    } finally {
      clearInterval(renewing)
    }
    return rows.length
  }

  function noteOutage(error: Error): void {
    const message = 'relay: queue or database unavailable, jobs wait in the outbox'
    if (log.warn('outage', { err: error }, message)) isOutageLogged = true
    isOut = true
  }

  function noteRecovery(): void {
    if (isOutageLogged) logger.info('relay: queue and database available again')
    isOut = false
    isOutageLogged = false
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      let relayed = 0
      try {
        if (Object.values(queues).every((queue) => queue.isReady())) {
          relayed = await relayBatch()
          lastReady = performance.now()
          noteRecovery()
        } else if (performance.now() - lastReady > OUTAGE_AFTER_MS)
          noteOutage(new Error('relay: expected the queues to be ready, got a queue that is not'))
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

async function handOver(
  queues: RelayParts['queues'],
  rows: readonly OutboxRow[],
  takeTurns: RelayParts['takeTurns'],
): Promise<void> {
  const questions = rows.flatMap((row) => questionOf(row) ?? [])
  const turns = questions.length === 0 ? null : await takeTurns(questions)
  const toJob = (row: OutboxRow): NewJob => {
    const turn = turns?.get(questionOf(row)?.solutionId ?? '')
    return { id: row.id, name: row.kind, payload: row.payload, ...(turn !== undefined && { turn }) }
  }
  const byQueue = Map.groupBy(rows, ({ kind }) => QUEUE_OF[kind])
  await Promise.all([...byQueue].map(([name, own]) => queues[name].add(own.map(toJob))))
}

const questionPayload = Compile(RunSolution)

/** Returns null for a row that is no question. */
function questionOf({ kind, payload }: OutboxRow): WaitingQuestion | null {
  return kind === RUN_SOLUTION && questionPayload.Check(payload) ? payload : null
}
