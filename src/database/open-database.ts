/**
 * @file Opens the one Postgres of an instance: a server, or the embedded one. Both have the same interface.
 */

import type { Logger } from 'pino'
import type { Database } from './database.ts'
import { openEmbeddedDatabase } from './embedded/open-embedded.ts'
import { openServerDatabase } from './open-server.ts'

export interface OpenDatabaseOptions {
  /** URL of a Postgres server. If omitted, the embedded database is opened. */
  readonly url?: string | undefined
  /** Directory of the embedded database; not used when `url` is given. */
  readonly dataDir: string
  readonly logger: Logger
}

/**
 * Opens the database and checks that it answers. Creates no tables; `migrate` does.
 *
 * @throws ServiceError STORE_UNAVAILABLE when it cannot be reached; DATABASE_UNSUITABLE when it has no
 * pgvector >= 0.8.0, or refuses the user, its rights or its certificate; DATA_DIR_LOCKED when another instance uses `dataDir`; DATA_DIR_UNWRITABLE when `dataDir` cannot be
 * written.
 */
export async function openDatabase({ url, dataDir, logger }: OpenDatabaseOptions): Promise<Database> {
  return url === undefined ? openEmbeddedDatabase({ dataDir, logger }) : openServerDatabase({ url, logger })
}
