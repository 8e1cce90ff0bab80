/** @file What the worker tidies up now and then. Each step is idempotent: any number of workers may do it. */

import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { ConsolidationStore } from '#artifacts'
import type { Database } from '#database'
import { type Outbox, pruneEpisodes } from '#episodes'

const EVERY_MS = 60_000
/** Longer than all retries of a job take. */
const LOST_AFTER_MS = 15 * 60_000
const FORGET_AFTER_MS = 24 * 3_600_000
const DAY_MS = 24 * 3_600_000

export interface MaintenanceParts {
  readonly database: Pick<Database, 'pool'>
  readonly outbox: Pick<Outbox, 'recover' | 'prune'>
  readonly consolidations?: Pick<ConsolidationStore, 'recover'> | undefined
  /** Asks for nights that are due. */
  readonly requestConsolidations?: (() => Promise<void>) | undefined
  /** 0 keeps episodes. */
  readonly episodeTtlDays: number
  readonly logger: Logger
}

/** Runs at once and then every minute: lost work back in line, old outbox rows and old episodes away, nights begun. */
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
    if (recovered > 0) logger.warn({ recovered }, 'episodes whose job was lost are back in line')
    const resumed = await consolidations?.recover(LOST_AFTER_MS)
    if (resumed) logger.warn({ resumed }, 'unfinished consolidations are back in line')
    await outbox.prune(FORGET_AFTER_MS)
    if (episodeTtlDays > 0) {
      const pruned = await pruneEpisodes(database, new Date(Date.now() - episodeTtlDays * DAY_MS))
      if (pruned > 0) logger.info({ pruned, episodeTtlDays }, 'old episodes deleted')
    }
    await requestConsolidations?.()
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await tidy().catch((error: unknown) => logger.warn({ err: error }, 'maintenance failed'))
      await delay(EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {})
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
