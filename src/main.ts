/**
 * @file The API process: reads the configuration, opens the parts, listens; closes the parts in reverse
 * order at the end.
 */

import { setTimeout } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { pino } from 'pino'
import { readConsole } from '#console'
import { asTenant, startDatabase } from '#database'
import { createEngine } from '#engine'
import { createEpisodeStore, createOutbox } from '#episodes'
import { type BackgroundQuestion, buildApp, isLoopback, tokensOf, toProblem, toView } from '#http'
import { connectQueues, createSolutionStore, deliverWebhook, readBacklog } from '#jobs'
import {
  createAuditStore,
  createAuthenticator,
  createIdempotencyStore,
  createKeyStore,
  createLimiter,
  createSharedCounters,
  readKeyFile,
} from '#keys'
import { createMetrics } from '#metrics'
import { watchActiveArtifacts } from '#serving'
import { createSolver } from '#solving'
import { openTracing } from '#tracing'
import manifest from '../package.json' with { type: 'json' }
import { type Config, loadConfig, MIGRATIONS } from './config.ts'
import { consolidationDeps } from './consolidation-deps.ts'
import { exitWithReason } from './exit-with-reason.ts'
import { checkHealth } from './health.ts'
import { listen } from './listen.ts'
import { loggerOptions } from './logger.ts'
import { openParts, type Parts } from './open-parts.ts'
import { routeConsole } from './route-console.ts'
import { securePort } from './secure-port.ts'

/** Time that a request waits for episodes. The embedded database also runs the jobs, one after the other. */
const STORE_TIMEOUTS = {
  server: { retrievalMs: 250, commitMs: 2_000 },
  embedded: { retrievalMs: 2_000, commitMs: 10_000 },
} as const

async function start(config: Config, { keep, open, close, isClosing }: Parts): Promise<void> {
  const logger = pino(loggerOptions({ level: config.logger.level, pretty: process.stdout.isTTY }))
  const fileKeys = config.http.keysFile === null ? null : await readKeyFile(config.http.keysFile)
  routeConsole(logger)

  const { drainDelayMs } = config.http
  let isListening = false
  let draining = false
  // Before the parts are opened, so that a signal during the start closes those that are open.
  closeWithGrace({ delay: drainDelayMs + config.shutdownTimeoutMs, logger }, async ({ signal, err }) => {
    draining = true
    if (err !== undefined) logger.fatal({ err }, 'unexpected error: shutting down')
    else logger.info({ signal }, 'shutting down: requests in flight finish, new requests are refused')
    // Listening goes on, so that load balancers see /readyz fail before connections are refused.
    if (signal !== undefined && isListening) await setTimeout(drainDelayMs)
    await close()
  })

  const { version } = manifest
  const { tracer } = await open(() =>
    openTracing({ ...config.tracing, service: 'circadian-api', version, logger }),
  )
  const [{ database, ready }, engine] = await Promise.all([
    open(() =>
      startDatabase({ url: config.database?.url, dataDir: config.dataDir, migrations: MIGRATIONS, logger }),
    ),
    open(() => createEngine({ ...config.engine, logger })),
  ])
  const keys = createKeyStore({ database, fileKeys: fileKeys ?? [] })
  // Until then the service answers without episodes.
  ready
    .then(() => securePort({ keys, fileKeys, listenOn: config.http, logger, isClosing }))
    .catch(exitWithReason)

  const episodes = createEpisodeStore({ database })
  const consolidation = consolidationDeps({
    database,
    engine: config.engine,
    promote: config.nights.promote,
    evidence: config.nights.evidence,
    logger,
    // Shares the engine of the requests, so that the model is loaded only once.
    openReplayEngine: async () => ({ engine, close: async () => {} }),
  })
  const { consolidations, artifacts, learning, training } = consolidation
  const queues = keep(
    connectQueues({ redisUrl: config.redis?.url, prefix: config.redis?.prefix, database, logger }),
  )
  const trainedModels = keep(watchActiveArtifacts({ artifacts, learning, engine, logger }))
  await trainedModels.refresh()
  const metrics = createMetrics({
    engine,
    trainedModels,
    dependencies: { database: () => database.state() === 'up', queue: queues.isUp },
    pool: database.pool,
    readBacklog: () => readBacklog(database),
  })
  if (database.kind === 'embedded') {
    // No other process can reach the embedded database, so this process runs its jobs.
    const outbox = createOutbox({ database })
    keep(
      queues.startWorker({
        store: episodes,
        outbox,
        consolidation,
        consolidationTriggers: config.nights,
        healthRollback: config.nights.healthRollback,
        episodeTtlDays: config.episodes.ttlDays,
        episodeCapacity: config.episodes.capacity,
        auditTtlDays: config.audit.ttlDays,
        tracer,
        observeJob: metrics.observeJob,
      }),
    )
  }
  const solver = metrics.watch(
    createSolver({
      engine,
      episodes,
      storeTimeouts: STORE_TIMEOUTS[database.kind],
      activeModels: trainedModels.current,
      isFrozen: trainedModels.isFrozen,
      maxMs: config.solving.maxMs,
      logger,
      tracer,
    }),
  )
  const limiter = createLimiter({ counters: createSharedCounters({ database, redis: queues.redis }), logger })
  keep(
    queues.startSolutions(
      {
        episodes,
        problemOf: toProblem,
        async callWebhook(url, record) {
          const { webhooks } = config
          if (webhooks !== null) await deliverWebhook({ url, id: record.id, body: toView(record) }, webhooks)
        },
        async solve(request, { signal, id, requestId }) {
          const { question, caller, ...key } = request as BackgroundQuestion
          const solution = await solver.solve(question, {
            signal,
            id,
            ...(caller && { caller }),
            ...(requestId && { requestId }),
            ...(key.limits.tokens !== null && {
              onCancelled: (usage) => void limiter.spend(key, tokensOf({ usage })),
            }),
          })
          await limiter.spend(key, tokensOf(solution))
          return solution
        },
      },
      tracer,
    ),
  )
  const app = keep(
    buildApp({
      solver,
      episodes,
      solutions: createSolutionStore({ database }),
      hasWebhooks: config.webhooks !== null,
      admin: {
        consolidations,
        artifacts,
        learning,
        training,
        audit: createAuditStore({ database }),
        fingerprint: engine.model.fingerprint,
      },
      health: () => checkHealth({ database, queues, engine }),
      metrics: metrics.expose,
      observeRequest: metrics.observeRequest,
      consoleFiles: await readConsole(),
      draining: () => draining,
      authenticate: createAuthenticator({
        store: keys,
        allowAnonymous: fileKeys === null && (isLoopback(config.http.host) || config.http.allowAnonymous),
      }),
      idempotency: createIdempotencyStore({ database }),
      asTenant,
      limiter,
      trustProxy: config.http.trustProxy,
      corsOrigins: config.http.corsOrigins,
      hosts: { listenHost: config.http.host, allowedHosts: config.http.allowedHosts },
      logger,
      tracer,
    }),
  )

  const address = await listen(app, config.http)
  isListening = true
  logger.info(
    { model: engine.model.id, provider: engine.status().provider, database: database.kind },
    `ready: POST ${address}/solve, console at ${address}/console, documentation at ${address}/docs`,
  )
}

const parts = openParts()
try {
  await start(loadConfig(process.env), parts)
} catch (error) {
  // The end of the process takes away what the start needs next: its reason is already logged.
  if (!parts.isClosing()) exitWithReason(error)
}
