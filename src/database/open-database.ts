/** @file The one Postgres of an instance: a server somebody runs, or the embedded one. The code above cannot tell them apart. */

import type { Logger } from 'pino'
import type { Database } from './database.ts'
import { openEmbeddedDatabase } from './embedded/open-embedded.ts'
import { openServerDatabase } from './open-server.ts'

export interface OpenDatabaseOptions {
  /** Absent: the embedded database. */
  readonly url?: string | undefined
  /** Holds the embedded database; not touched when `url` is given. */
  readonly dataDir: string
  readonly logger: Logger
}

/**
 * Opens the database and proves that it answers. Tables are `migrate`'s business.
 *
 * @throws ServiceError STORE_UNAVAILABLE when it cannot be reached or has no pgvector >= 0.8.0; DATA_DIR_LOCKED when
 * another instance works in `dataDir`; DATA_DIR_UNWRITABLE when nothing can be written there.
 */
export async function openDatabase({ url, dataDir, logger }: OpenDatabaseOptions): Promise<Database> {
  return url === undefined ? openEmbeddedDatabase({ dataDir, logger }) : openServerDatabase({ url, logger })
}
