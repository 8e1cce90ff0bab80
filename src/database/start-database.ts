/** @file Opens and migrates the database of a process that starts with or without its server. */

import { setTimeout } from 'node:timers/promises'
import { coerceError, hasCode } from '#errors'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { type OpenDatabaseOptions, openDatabase } from './open-database.ts'
import { checkServer, createServerDatabase } from './open-server.ts'
import { openTenantWall } from './tenant-wall.ts'

const FIRST_PAUSE_MS = 500
const MAX_PAUSE_MS = 5_000

export interface StartOptions extends OpenDatabaseOptions {
  /** Directory of the migrations. */
  readonly migrations: string
}

export interface StartedDatabase {
  readonly database: Database
  /**
   * Resolves once the database is there and migrated; until then its state is `down`. Rejects with an error
   * that waiting cannot mend. Stays pending when the database is closed before.
   */
  readonly ready: Promise<void>
  /** Closes the database. Idempotent. */
  close(): Promise<void>
}

/**
 * Starts the database of a process. A server that cannot be reached is waited for: the database is returned
 * at once, its statements are refused, and the log has one line until it is back.
 *
 * @throws ServiceError as `openDatabase` and `migrate` do, except for STORE_UNAVAILABLE of a server
 */
export async function startDatabase(options: StartOptions): Promise<StartedDatabase> {
  const { url, migrations, logger } = options
  if (url === undefined) {
    const database = await openDatabase(options)
    try {
      await migrate(database.pool, migrations)
    } catch (error) {
      await database.close()
      throw error
    }
    return { database, ready: Promise.resolve(), close: database.close }
  }
  const server = createServerDatabase({ url, logger })
  const closed = new AbortController()
  const database: Database = {
    ...server,
    close() {
      closed.abort()
      return server.close()
    },
  }
  const prepare = async () => {
    await checkServer(server, logger)
    await migrate(server.pool, migrations)
    await openTenantWall(server.pool, server.wall, logger)
  }
  try {
    await prepare()
    return { database, ready: Promise.resolve(), close: database.close }
  } catch (thrown) {
    if (!hasCode(thrown, 'STORE_UNAVAILABLE')) {
      await database.close()
      throw thrown
    }
    server.breaker.hold(coerceError(thrown))
  }
  const ready = waitForServer(prepare, closed.signal).then(() => server.breaker.release())
  return { database, ready, close: database.close }
}

async function waitForServer(prepare: () => Promise<void>, closed: AbortSignal): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS)) {
    await setTimeout(pauseMs)
    if (closed.aborted) return new Promise(() => {})
    try {
      return await prepare()
    } catch (thrown) {
      if (closed.aborted) return new Promise(() => {})
      if (!hasCode(thrown, 'STORE_UNAVAILABLE')) throw thrown
    }
  }
}
