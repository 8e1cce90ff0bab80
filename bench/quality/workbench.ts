/**
 * @file Engine and database of a quality bench: the bundled model and a temporary database, closed together.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Logger, pino } from 'pino'
import { type Database, migrate, openDatabase } from '#database'
import { createEngine, type Engine } from '#engine'
import { createEpisodeStore, type EpisodeStore } from '#episodes'

const ROOT = join(import.meta.dirname, '../..')

export interface Workbench extends AsyncDisposable {
  readonly engine: Engine
  readonly database: Database
  readonly episodes: EpisodeStore
  readonly logger: Logger
}

/** Opens a migrated, empty embedded database in a temporary folder, and the bundled model on the CPU. */
export async function openWorkbench(): Promise<Workbench> {
  const logger = pino({ level: 'warn' })
  const parts = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-quality-'))
  parts.defer(() => rm(dataDir, { recursive: true, force: true }))
  const database = parts.adopt(await openDatabase({ dataDir, logger }), (it) => it.close())
  await migrate(database.pool, join(ROOT, 'migrations'))
  const engine = parts.adopt(
    await createEngine({
      directory: join(ROOT, 'models/order-of-operations'),
      executionProvider: 'cpu',
      cudaDevice: 0,
      logger,
    }),
    (it) => it.close(),
  )
  return {
    engine,
    database,
    logger,
    episodes: createEpisodeStore({ database }),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}
