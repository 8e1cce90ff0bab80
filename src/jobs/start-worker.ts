/** @file The parts of a worker, in the order in which they start and stop. */

import { setTimeout as delay } from 'node:timers/promises'
import { UnrecoverableError } from 'bullmq'
import type { Logger } from 'pino'
import { type ConsolidationDeps, requestDueConsolidations, watchHealth } from '#consolidation'
import { asBackground, type Database } from '#database'
import { type EpisodeStore, type Outbox, startIndexingLargeTenants } from '#episodes'
import { coerceError } from '#errors'
import { throttleLog } from '#throttle-log'
import { NO_TRACER, type Tracer } from '#tracing'
import {
  CONSOLIDATION_DUE,
  INDEX_EPISODE,
  JOB_OPTIONS,
  type QueueName,
  RUN_CONSOLIDATION,
} from './contracts.ts'
import { type JobProcessor, type JobQueue, type QueueBackend, RequeueError } from './job-queue.ts'
import { startMaintenance } from './maintenance.ts'
import { createConsolidationProcessor } from './process-consolidation.ts'
import { createProcessor } from './process-job.ts'
import { startRelay } from './relay.ts'
import { startDeletions } from './run-deletions.ts'
import { takeTurns } from './take-turns.ts'
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
  /** Whether versions whose live outcomes have fallen are rolled back; they are not unless true. */
  readonly healthRollback?: boolean
  /** Days after which episodes are deleted; 0, the default, keeps them. */
  readonly episodeTtlDays?: number
  /** Number of episodes that a tenant keeps of one model; 0, the default, keeps all. */
  readonly episodeCapacity?: number
  /** Days after which records of calls of operators are deleted; 0, the default, keeps them. */
  readonly auditTtlDays?: number
  /** Records the spans of jobs; none unless given. */
  readonly tracer?: Tracer
  /** Called after every run of a job. */
  readonly observeJob?: (observation: JobObservation) => void
}

export interface JobObservation {
  readonly name: string
  /** `retried` jobs have failed and are run again; `requeued` ones were interrupted by the end of the worker. */
  readonly outcome: 'completed' | 'retried' | 'failed' | 'requeued'
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

/**
 * Starts all parts, as background work for the database. Does not wait for the queue: they begin when it is available.
 */
export function startWorker(parts: StartWorkerParts): RunningWorker {
  const { backend } = parts
  // Callers wait for a queue that opens, too: its statements are no background work.
  const queues = {
    episodes: backend.openQueue('episodes'),
    consolidations: backend.openQueue('consolidations'),
    solutions: backend.openQueue('solutions'),
  }
  return asBackground(() => startParts({ ...parts, queues }))
}

interface Parts extends StartWorkerParts {
  readonly queues: Readonly<Record<QueueName, ReturnType<QueueBackend['openQueue']>>>
}

function startParts({
  backend,
  queues,
  database,
  logger,
  store,
  outbox,
  consolidation,
  consolidationTriggers,
  healthRollback = false,
  episodeTtlDays = 0,
  episodeCapacity = 0,
  auditTtlDays = 0,
  tracer = NO_TRACER,
  observeJob = () => {},
}: Parts): RunningWorker {
  const stopping = new AbortController()
  // Until the time of the wrong clock has come, every check finds it.
  const log = throttleLog(logger)
  const warnOfClock = (details: object, message: string) => void log.warn('clock', details, message)
  async function requestConsolidations(
    trigger: 'schedule' | 'episodes',
    minNewEpisodes: number,
  ): Promise<void> {
    if (consolidation === undefined) return
    const parts = { ...consolidation, logger: { warn: warnOfClock } }
    const due = await requestDueConsolidations(parts, { trigger, minNewEpisodes })
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
  const watched = (name: QueueName, process: JobProcessor) =>
    observed(name, traceJobs(process, tracer), observeJob)
  const workers = [backend.openWorker('episodes', watched('episodes', processEpisode), { concurrency })]
  if (consolidation !== undefined) {
    const process = createConsolidationProcessor(
      { ...consolidation, tracer },
      { stopping: stopping.signal, logger },
    )
    workers.push(backend.openWorker('consolidations', watched('consolidations', process), { concurrency: 1 }))
  }
  const relay = startRelay({
    outbox,
    queues,
    takeTurns: (questions) => takeTurns(database, questions),
    logger,
  })
  const maintenance = startMaintenance({
    database,
    outbox,
    consolidations: consolidation?.consolidations,
    requestConsolidations: every > 0 ? () => requestConsolidations('episodes', every) : undefined,
    watchHealth:
      consolidation !== undefined && healthRollback
        ? () => watchHealth({ ...consolidation, logger })
        : undefined,
    episodeTtlDays,
    episodeCapacity,
    auditTtlDays,
    logger,
  })
  const deletions = startDeletions({ database, logger })
  // The embedded database would answer nothing else during a build.
  const indexing = database.kind === 'server' ? startIndexingLargeTenants({ database, logger }) : null
  const schedule =
    consolidationTriggers === undefined
      ? null
      : keepSchedule(queues.episodes, consolidationTriggers.cron, logger)

  async function close(): Promise<void> {
    stopping.abort()
    await Promise.all([
      relay.close(),
      maintenance.close(),
      deletions.close(),
      indexing?.close(),
      schedule?.close(),
    ])
    await Promise.all(workers.map((worker) => worker.close()))
  }

  let closing: Promise<void> | undefined
  return {
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

/** Known names only, so that a queue cannot make up labels of metrics. */
const JOB_NAMES: readonly string[] = [INDEX_EPISODE, RUN_CONSOLIDATION, CONSOLIDATION_DUE]

function observed(
  queue: QueueName,
  process: JobProcessor,
  observe: (observation: JobObservation) => void,
): JobProcessor {
  return async (job) => {
    const name = JOB_NAMES.includes(job.name) ? job.name : 'unknown'
    try {
      await process(job)
      observe({ name, outcome: 'completed' })
    } catch (thrown) {
      const isLast =
        thrown instanceof UnrecoverableError || job.attemptsMade + 1 >= JOB_OPTIONS[queue].attempts
      observe({ name, outcome: thrown instanceof RequeueError ? 'requeued' : isLast ? 'failed' : 'retried' })
      throw thrown
    }
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
