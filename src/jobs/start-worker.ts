/** @file The worker's moving parts, in the order in which they start and stop. */

import type { Logger } from 'pino'
import { type ConsolidationDeps, requestDueConsolidations } from '#consolidation'
import type { Database } from '#database'
import type { EpisodeStore, Outbox } from '#episodes'
import type { QueueBackend } from './job-queue.ts'
import { keepSchedule } from './keep-schedule.ts'
import { startMaintenance } from './maintenance.ts'
import { createConsolidationProcessor } from './process-consolidation.ts'
import { createProcessor } from './process-job.ts'
import { startRelay } from './relay.ts'

export interface ConsolidationTriggers {
  /** In UTC; null: no schedule. */
  readonly cron: string | null
  /** New episodes of a model after which a night of it is due; 0: never for that. */
  readonly everyEpisodes: number
}

export interface WorkerParts {
  readonly store: Pick<EpisodeStore, 'index'>
  readonly outbox: Outbox
  /** Absent: consolidations wait for a worker that has them. */
  readonly consolidation?: ConsolidationDeps
  /** Absent: nights come when they are asked for, and a schedule that somebody has set stays. */
  readonly consolidationTriggers?: ConsolidationTriggers
  /** Days after which episodes are deleted; 0, the default, keeps them. */
  readonly episodeTtlDays?: number
}

export interface RunningWorker {
  /** Stops taking work and finishes what is in hand; a consolidation goes back in line. Idempotent. */
  close(): Promise<void>
}

interface StartWorkerParts extends WorkerParts {
  readonly backend: QueueBackend
  readonly database: Database
  readonly logger: Logger
}

/** Starts relay, processors and maintenance. Does not wait for the queue: they begin when it is there. */
export function startWorker({
  backend,
  database,
  logger,
  store,
  outbox,
  consolidation,
  consolidationTriggers,
  episodeTtlDays = 0,
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
    for (const { id, fingerprint } of await requestDueConsolidations(consolidation, {
      trigger,
      minNewEpisodes,
    }))
      logger.info({ consolidation: id, fingerprint, trigger }, 'a night is due')
  }
  const every = consolidationTriggers?.everyEpisodes ?? 0
  // One backend serves the embedded database: more jobs at once would only wait for each other.
  const concurrency = database.kind === 'embedded' ? 1 : 8
  const workers = [
    backend.openWorker(
      'episodes',
      createProcessor({ store, requestConsolidations: () => requestConsolidations('schedule', 1) }),
      { concurrency },
    ),
  ]
  if (consolidation !== undefined) {
    const process = createConsolidationProcessor(consolidation, stopping.signal)
    workers.push(backend.openWorker('consolidations', process, { concurrency: 1 }))
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
