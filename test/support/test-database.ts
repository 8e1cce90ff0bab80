/** @file Databases to test against, each empty but for the schema. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type Database, migrate, openDatabase } from '#database'

export const MIGRATIONS: string = join(import.meta.dirname, '../../migrations')

export const silent = pino({ level: 'silent' })

export interface TestDatabase {
  readonly database: Database
  /** Closes it and removes what it left. */
  drop(): Promise<void>
}

/** An embedded database in a folder of its own. */
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
