/** @file The worker's moving parts, in the order in which they start and stop. */

import type { Logger } from 'pino'
import type { Database } from '#database'
import type { EpisodeStore, Outbox } from '#episodes'
import { EPISODE_QUEUE } from './contracts.ts'
import type { QueueBackend } from './job-queue.ts'
import { startMaintenance } from './maintenance.ts'
import { createProcessor } from './process-job.ts'
import { startRelay } from './relay.ts'

export interface WorkerParts {
  readonly store: Pick<EpisodeStore, 'index'>
  readonly outbox: Outbox
  /** Days after which episodes are deleted; 0, the default, keeps them. */
  readonly episodeTtlDays?: number
}

export interface RunningWorker {
  /** Stops taking work, finishes what is in hand. Idempotent. */
  close(): Promise<void>
}

interface StartWorkerParts extends WorkerParts {
  readonly backend: QueueBackend
  readonly database: Database
  readonly logger: Logger
}

/** Starts relay, processor and maintenance. Does not wait for the queue: they begin when it is there. */
export function startWorker({
  backend,
  database,
  logger,
  store,
  outbox,
  episodeTtlDays = 0,
}: StartWorkerParts): RunningWorker {
  const queue = backend.openQueue(EPISODE_QUEUE)
  // One backend serves the embedded database: more jobs at once would only wait for each other.
  const concurrency = database.kind === 'embedded' ? 1 : 8
  const worker = backend.openWorker(EPISODE_QUEUE, createProcessor({ store }), { concurrency })
  const relay = startRelay({ outbox, queue, logger })
  const maintenance = startMaintenance({ database, outbox, episodeTtlDays, logger })

  async function close(): Promise<void> {
    await Promise.all([relay.close(), maintenance.close()])
    await worker.close()
    await queue.close()
  }

  let closing: Promise<void> | undefined
  return {
    close: () => {
      closing ??= close()
      return closing
    },
  }
}
