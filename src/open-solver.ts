/** @file A solver without a server: the engine, an embedded database and the trained versions in it. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { createArtifactStore } from '#artifacts'
import { startDatabase } from '#database'
import { createEngine, type EngineOptions } from '#engine'
import { createEpisodeStore } from '#episodes'
import { watchActiveArtifacts } from '#serving'
import { createSolver } from '#solving'
import { MIGRATIONS } from './config.ts'
import type { Parts } from './open-parts.ts'

/** No client waits for these answers, so a busy machine must not cost one of them. */
const HEARTBEAT_LIMIT_MS = 120_000

export interface OpenSolverOptions {
  readonly engine: Omit<EngineOptions, 'logger'>
  /** Folder of the embedded database; null: an empty one in a temporary folder, which is removed at the end. */
  readonly dataDir: string | null
  readonly logger: Logger
}

/**
 * Opens a solver; its requests have no limit of time but their own. `parts` closes it.
 *
 * @throws ServiceError as `createEngine` and `startDatabase` do
 */
export async function openSolver(
  { open, keep }: Parts,
  { engine: model, dataDir, logger }: OpenSolverOptions,
) {
  const folder = dataDir ?? (await open(openTemporaryFolder)).path
  const [{ database }, engine] = await Promise.all([
    open(() => startDatabase({ dataDir: folder, migrations: MIGRATIONS, logger })),
    open(() => createEngine({ heartbeatLimitMs: HEARTBEAT_LIMIT_MS, ...model, logger })),
  ])
  const artifacts = createArtifactStore({ database })
  const trainedModels = keep(watchActiveArtifacts({ artifacts, engine, logger }))
  await trainedModels.refresh()
  const episodes = createEpisodeStore({ database })
  const solver = createSolver({ engine, episodes, activeModels: trainedModels.current, logger })
  return { solver, engine, database, episodes }
}

async function openTemporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'circadian-'))
  return { path, close: () => rm(path, { recursive: true, force: true }) }
}
