/** @file The worker's moving parts, in the order in which they start and stop. */

import type { Logger } from 'pino'
import type { Database } from '#database'
import type { EpisodeStore, Outbox } from '#episodes'
import type { NightParts } from './consolidation/night.ts'
import { createConsolidationProcessor } from './consolidation/process-consolidation.ts'
import type { QueueBackend } from './job-queue.ts'
import { startMaintenance } from './maintenance.ts'
import { createProcessor } from './process-job.ts'
import { startRelay } from './relay.ts'

export interface WorkerParts {
  readonly store: Pick<EpisodeStore, 'index'>
  readonly outbox: Outbox
  /** Absent: consolidations wait for a worker that has them. */
  readonly nights?: NightParts
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
  nights,
  episodeTtlDays = 0,
}: StartWorkerParts): RunningWorker {
  const stopping = new AbortController()
  const queues = {
    episodes: backend.openQueue('episodes'),
    consolidations: backend.openQueue('consolidations'),
  }
  // One backend serves the embedded database: more jobs at once would only wait for each other.
  const concurrency = database.kind === 'embedded' ? 1 : 8
  const workers = [backend.openWorker('episodes', createProcessor({ store }), { concurrency })]
  if (nights !== undefined) {
    const process = createConsolidationProcessor(nights, stopping.signal)
    workers.push(backend.openWorker('consolidations', process, { concurrency: 1 }))
  }
  const relay = startRelay({ outbox, queues, logger })
  const maintenance = startMaintenance({
    database,
    outbox,
    consolidations: nights?.consolidations,
    episodeTtlDays,
    logger,
  })

  async function close(): Promise<void> {
    stopping.abort()
    await Promise.all([relay.close(), maintenance.close()])
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
