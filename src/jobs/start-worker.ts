/** @file The parts of a worker, in the order in which they start and stop. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type ConsolidationDeps, requestDueConsolidations } from '#consolidation'
import type { Database } from '#database'
import type { EpisodeStore, Outbox } from '#episodes'
import { coerceError } from '#errors'
import { NO_TRACER, type Tracer } from '#tracing'
import type { JobQueue, QueueBackend } from './job-queue.ts'
import { startMaintenance } from './maintenance.ts'
import { createConsolidationProcessor } from './process-consolidation.ts'
import { createProcessor } from './process-job.ts'
import { startRelay } from './relay.ts'
import { traceJobs } from './trace-jobs.ts'

const SCHEDULE_RETRY_MS = 1_000

export interface ConsolidationTriggers {
  /** Schedule, in UTC; null: no schedule. */
  readonly cron: string | null
  /** Number of new episodes of a model after which its consolidation is due; 0 turns this trigger off. */
  readonly everyEpisodes: number
}

export interface WorkerParts {
  readonly store: Pick<EpisodeStore, 'index'>
  readonly outbox: Outbox
  /** If omitted, this worker runs no consolidations: they wait for another worker. */
  readonly consolidation?: ConsolidationDeps
  /** If omitted, consolidations run only on request; an existing schedule is left unchanged. */
  readonly consolidationTriggers?: ConsolidationTriggers
  /** Days after which episodes are deleted; 0, the default, keeps them. */
  readonly episodeTtlDays?: number
  /** Records the spans of jobs; none unless given. */
  readonly tracer?: Tracer
}

export interface RunningWorker {
  /** Takes no more jobs and finishes the current ones; a consolidation goes back to the queue. Idempotent. */
  close(): Promise<void>
}

interface StartWorkerParts extends WorkerParts {
  readonly backend: QueueBackend
  readonly database: Database
  readonly logger: Logger
}

/** Starts all parts. Does not wait for the queue: they begin when it is available. */
export function startWorker({
  backend,
  database,
  logger,
  store,
  outbox,
  consolidation,
  consolidationTriggers,
  episodeTtlDays = 0,
  tracer = NO_TRACER,
}: StartWorkerParts): RunningWorker {
  const stopping = new AbortController()
  const queues = {
    episodes: backend.openQueue('episodes'),
    consolidations: backend.openQueue('consolidations'),
  }
  async function requestConsolidations(
    trigger: 'schedule' | 'episodes',
    minNewEpisodes: number,
  ): Promise<void> {
    if (consolidation === undefined) return
    const due = await requestDueConsolidations(consolidation, { trigger, minNewEpisodes })
    for (const { id, fingerprint } of due)
      logger.info({ consolidation: id, fingerprint, trigger }, 'consolidation due: requested')
  }
  const every = consolidationTriggers?.everyEpisodes ?? 0
  // The embedded database runs one query at a time: concurrent jobs would only wait for each other.
  const concurrency = database.kind === 'embedded' ? 1 : 8
  const processEpisode = createProcessor({
    store,
    requestConsolidations: () => requestConsolidations('schedule', 1),
  })
  const workers = [backend.openWorker('episodes', traceJobs(processEpisode, tracer), { concurrency })]
  if (consolidation !== undefined) {
    const process = createConsolidationProcessor({ ...consolidation, tracer }, stopping.signal)
    workers.push(backend.openWorker('consolidations', traceJobs(process, tracer), { concurrency: 1 }))
  }
  const relay = startRelay({ outbox, queues, logger })
  const maintenance = startMaintenance({
    database,
    outbox,
    consolidations: consolidation?.consolidations,
    requestConsolidations: every > 0 ? () => requestConsolidations('episodes', every) : undefined,
    episodeTtlDays,
    logger,
  })
  const schedule =
    consolidationTriggers === undefined
      ? null
      : keepSchedule(queues.episodes, consolidationTriggers.cron, logger)

  async function close(): Promise<void> {
    stopping.abort()
    await Promise.all([relay.close(), maintenance.close(), schedule?.close()])
    await Promise.all(workers.map((worker) => worker.close()))
    await Promise.all(Object.values(queues).map((queue) => queue.close()))
  }

  let closing: Promise<void> | undefined
  return {
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

/**
 * Sets the schedule in the queue, or removes it; retries until the queue accepts it. The queue keeps the
 * schedule, so that any worker may run the job that is due.
 *
 * @param cron in UTC; null removes the schedule
 */
function keepSchedule(
  queue: Pick<JobQueue, 'isReady' | 'scheduleConsolidations'>,
  cron: string | null,
  logger: Logger,
): { close(): Promise<void> } {
  const stopping = new AbortController()

  async function set(): Promise<void> {
    let hasLogged = false
    while (!stopping.signal.aborted) {
      try {
        if (queue.isReady()) return await queue.scheduleConsolidations(cron)
      } catch (thrown) {
        if (!hasLogged)
          logger.warn({ err: coerceError(thrown) }, 'schedule of consolidations not set: retrying')
        hasLogged = true
      }
      await delay(SCHEDULE_RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }

  const setting = set()
  return {
    close: () => {
      stopping.abort()
      return setting
    },
  }
}
