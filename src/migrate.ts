/**
 * @file Migrates the database of `DATABASE_URL` (or the embedded one in `DATA_DIR`) to this release's
 * schema: `npm run migrate`, `circadian migrate`.
 */

import { pino } from 'pino'
import { migrate, openDatabase } from '#database'
import { loadConfig, MIGRATIONS } from './config.ts'
import { exitWithReason } from './exit-with-reason.ts'
import { loggerOptions } from './logger.ts'

try {
  const config = loadConfig(process.env)
  const logger = pino(loggerOptions({ level: config.logger.level, pretty: process.stdout.isTTY }))
  const database = await openDatabase({ url: config.database?.url, dataDir: config.dataDir, logger })
  const applied = await migrate(database.pool, MIGRATIONS)
  logger.info({ applied, database: database.kind }, 'schema is up to date')
  await database.close()
} catch (error) {
  exitWithReason(error)
}
