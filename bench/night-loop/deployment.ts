/**
 * @file Deployments to measure: one process with the embedded database, where a night shares the event loop
 * with the requests; or API and worker as two processes on real servers.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { type Database, migrate, openDatabase } from '#database'
import {
  type ProbedProcess,
  type RunningService,
  startService,
  startWorkerProcess,
} from '../service/running-service.ts'

export interface Running {
  readonly api: RunningService
  /** Processes by the name under which their delays are reported. */
  readonly probed: Readonly<Record<string, ProbedProcess>>
  stop(): Promise<void>
}

export interface Deployment extends AsyncDisposable {
  /** Opens the deployment's database, which no process of it may use meanwhile. */
  withDatabase<Result>(work: (database: Database) => Promise<Result>): Promise<Result>
  start(): Promise<Running>
}

const logger = pino({ level: 'silent' })
const MIGRATIONS = join(import.meta.dirname, '../../migrations')

export async function onEmbedded(): Promise<Deployment> {
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-night-loop-'))
  return {
    withDatabase: (work) => usingDatabase({ dataDir }, work),
    async start() {
      const api = await startService(dataDir)
      return { api, probed: { 'API with worker': api }, stop: () => api.stop() }
    },
    [Symbol.asyncDispose]: () => rm(dataDir, { recursive: true, force: true }),
  }
}

/** @param servers URLs of a server where databases may be created, and of a Redis */
export async function onServers(servers: {
  readonly databaseUrl: string
  readonly redisUrl: string
}): Promise<Deployment> {
  const name = `circadian_night_loop_${process.pid}`
  const admin = new pg.Client({ connectionString: servers.databaseUrl })
  await admin.connect()
  await admin.query(`create database ${name}`)
  const url = new URL(servers.databaseUrl)
  url.pathname = `/${name}`
  const env = { DATABASE_URL: url.href, REDIS_URL: servers.redisUrl, REDIS_PREFIX: name }
  const dataDir = await mkdtemp(join(tmpdir(), 'circadian-night-loop-'))
  return {
    withDatabase: (work) => usingDatabase({ url: url.href, dataDir }, work),
    async start() {
      const api = await startService(dataDir, 'warn', env)
      const worker = await startWorkerProcess(env)
      return {
        api,
        probed: { API: api, worker },
        stop: async () => {
          await worker.stop()
          await api.stop()
        },
      }
    },
    async [Symbol.asyncDispose]() {
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function usingDatabase<Result>(
  place: { readonly url?: string; readonly dataDir: string },
  work: (database: Database) => Promise<Result>,
): Promise<Result> {
  const database = await openDatabase({ ...place, logger })
  try {
    await migrate(database.pool, MIGRATIONS)
    return await work(database)
  } finally {
    await database.close()
  }
}
