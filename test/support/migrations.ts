/** @file The migrations, for tests and for the global set-ups, which must not import Vitest. */

import { join } from 'node:path'
import { pino } from 'pino'
import { migrate, type OpenDatabaseOptions, openDatabase } from '#database'

export const MIGRATIONS: string = join(import.meta.dirname, '../../migrations')

export const silent = pino({ level: 'silent' })

/** Gives a database the schema and closes it, so that tests can copy it. */
export async function prepareTemplate(place: Omit<OpenDatabaseOptions, 'logger'>): Promise<void> {
  const database = await openDatabase({ ...place, logger: silent })
  await migrate(database.pool, MIGRATIONS)
  await database.close()
}
