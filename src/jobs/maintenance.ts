/** @file Periodic maintenance. Each task is idempotent: several workers may run it at the same time. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ConsolidationStore } from '#artifacts'
import type { Database } from '#database'
import { type Outbox, pruneEpisodes } from '#episodes'

const INTERVAL_MS = 60_000
/** Age from which a job counts as lost: longer than all its retries take. */
const LOST_AFTER_MS = 15 * 60_000
const OUTBOX_TTL_MS = 24 * 3_600_000
const DAY_MS = 24 * 3_600_000

export interface MaintenanceParts {
  readonly database: Pick<Database, 'pool'>
  readonly outbox: Pick<Outbox, 'recover' | 'prune'>
  readonly consolidations?: Pick<ConsolidationStore, 'recover'> | undefined
  /** Requests the consolidations that are due. */
  readonly requestConsolidations?: (() => Promise<void>) | undefined
  /** Days after which episodes are deleted; 0 keeps them. */
  readonly episodeTtlDays: number
  readonly logger: Logger
}

/**
 * Starts maintenance, at once and then every minute: enqueues lost jobs again, deletes old outbox rows and
 * old episodes, requests consolidations that are due.
 */
export function startMaintenance({
  database,
  outbox,
  consolidations,
  requestConsolidations,
  episodeTtlDays,
  logger,
}: MaintenanceParts): { close(): Promise<void> } {
  const stopping = new AbortController()

  async function tidy(): Promise<void> {
    const recovered = await outbox.recover(LOST_AFTER_MS)
    if (recovered > 0) logger.warn({ recovered }, 'jobs of episodes lost: enqueued again')
    const resumed = await consolidations?.recover(LOST_AFTER_MS)
    if (resumed) logger.warn({ resumed }, 'jobs of consolidations lost: enqueued again')
    await outbox.prune(OUTBOX_TTL_MS)
    if (episodeTtlDays > 0) {
      const pruned = await pruneEpisodes(database, new Date(Date.now() - episodeTtlDays * DAY_MS))
      if (pruned > 0) logger.info({ pruned, episodeTtlDays }, 'old episodes deleted')
    }
    await requestConsolidations?.()
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await tidy().catch((error: unknown) => logger.warn({ err: error }, 'maintenance failed'))
      await delay(INTERVAL_MS, undefined, { signal: stopping.signal }).catch(() => {})
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
