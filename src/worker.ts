/**
 * @file The worker process: runs the relay, jobs, consolidations and maintenance on a shared database. It
 * loads the model only while a consolidation judges a weaver. With WORKER_PORT it serves its health and its
 * metrics.
 */

import closeWithGrace from 'close-with-grace'
import { pino } from 'pino'
import { startDatabase } from '#database'
import { createEngine } from '#engine'
import { createEpisodeStore, createOutbox } from '#episodes'
import { ServiceError } from '#errors'
import { isLoopback } from '#http'
import { connectQueues, type Queues, readBacklog } from '#jobs'
import { createAuthenticator, createKeyStore } from '#keys'
import { createWorkerMetrics } from '#metrics'
import { openTracing } from '#tracing'
import manifest from '../package.json' with { type: 'json' }
import { type Config, loadConfig, MIGRATIONS } from './config.ts'
import { consolidationDeps } from './consolidation-deps.ts'
import { exitWithReason } from './exit-with-reason.ts'
import { checkListenHost } from './listen.ts'
import { loggerOptions } from './logger.ts'
import { openParts, type Parts } from './open-parts.ts'
import { routeConsole } from './route-console.ts'
import { startWorkerServer } from './worker-server.ts'

async function start(config: Config, { keep, open, close }: Parts): Promise<void> {
  if (config.database === null) {
    throw new ServiceError(
      'CONFIG_INVALID',
      'worker: expected DATABASE_URL, got none; with the embedded database, `npm start` runs the jobs itself',
    )
  }
  const logger = pino(loggerOptions({ level: config.logger.level, pretty: process.stdout.isTTY }))
  routeConsole(logger)

  // Before the parts are opened, so that a signal during the start closes those that are open.
  closeWithGrace({ delay: config.shutdownTimeoutMs, logger }, async ({ signal, err }) => {
    if (err !== undefined) logger.fatal({ err }, 'unexpected error: shutting down')
    else logger.info({ signal }, 'shutting down: running jobs finish')
    await close()
  })

  const { version } = manifest
  const { tracer } = await open(() =>
    openTracing({ ...config.tracing, service: 'circadian-worker', version, logger }),
  )
  const { url } = config.database
  const { database, ready } = await open(() =>
    startDatabase({ url, dataDir: config.dataDir, migrations: MIGRATIONS, logger }),
  )
  // The port answers while the worker waits for the database.
  let queues: Queues | null = null
  const metrics = createWorkerMetrics({
    pool: database.pool,
    readBacklog: () => readBacklog(database),
    dependencies: { database: () => database.state() === 'up', queue: () => queues?.isUp() ?? false },
  })
  const { host, port, allowedHosts, allowAnonymous } = config.worker
  const keys = createKeyStore({ database })
  if (port !== null) {
    const server = await open(() =>
      startWorkerServer({
        host,
        port,
        database,
        queues: () => queues,
        expose: metrics.expose,
        authenticate: createAuthenticator({
          store: keys,
          allowAnonymous: isLoopback(host) || allowAnonymous,
        }),
        allowedHosts,
      }),
    )
    logger.info(`health and metrics at ${server.origin}`)
  }
  await ready
  if (port !== null) checkListenHost(config.worker, (await keys.find(null)).anyKeys, logger)
  queues = keep(
    connectQueues({
      redisUrl: config.redis?.url,
      prefix: config.redis?.prefix,
      database,
      logger,
      onFatal: exitWithReason,
    }),
  )
  keep(
    queues.startWorker({
      store: createEpisodeStore({ database }),
      outbox: createOutbox({ database }),
      consolidation: consolidationDeps({
        database,
        engine: config.engine,
        promote: config.nights.promote,
        evidence: config.nights.evidence,
        logger,
        async openReplayEngine() {
          const engine = await createEngine({ ...config.engine, replicas: 1, inBackground: true, logger })
          return { engine, close: engine.close }
        },
      }),
      consolidationTriggers: config.nights,
      healthRollback: config.nights.healthRollback,
      episodeTtlDays: config.episodes.ttlDays,
      episodeCapacity: config.episodes.capacity,
      auditTtlDays: config.audit.ttlDays,
      tracer,
      observeJob: metrics.observeJob,
    }),
  )

  logger.info({ queue: config.redis === null ? 'postgres' : 'redis' }, 'ready: running jobs')
}

const parts = openParts()
try {
  await start(loadConfig(process.env), parts)
} catch (error) {
  // The end of the process takes away what the start needs next: its reason is already logged.
  if (!parts.isClosing()) exitWithReason(error)
}
