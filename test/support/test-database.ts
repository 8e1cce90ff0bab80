/** @file Databases for tests, each with the schema and no rows. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type Database, migrate, openDatabase } from '#database'

export const MIGRATIONS: string = join(import.meta.dirname, '../../migrations')

export const silent = pino({ level: 'silent' })

export interface TestDatabase {
  readonly database: Database
  /** Closes the database and removes its data. */
  drop(): Promise<void>
}

/** Creates an embedded database in a directory of its own. */
export async function createEmbeddedDatabase(): Promise<TestDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-'))
  const database = await openDatabase({ dataDir, logger: silent })
  await migrate(database.pool, MIGRATIONS)
  return {
    database,
    drop: async () => {
      await database.close()
      await rm(dataDir, { recursive: true })
    },
  }
}
