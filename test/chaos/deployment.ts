/** @file A deployment to hurt: PostgreSQL, Redis, two API processes and a worker, on free ports of loopback. */

import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { freePort } from '../support/service-process.ts'
import { createDisk, type Disk } from './disk.ts'
import { createPart, MARK, type Part } from './processes.ts'

export interface Api extends Part {
  readonly origin: string
}

export interface Deployment {
  readonly apis: readonly [Api, Api]
  readonly worker: Part
  readonly postgres: Part
  readonly redis: Part
  /** Disks of the servers; null when this process may not mount any. */
  readonly disks: { readonly postgres: Disk; readonly redis: Disk } | null
  readonly databaseUrl: string
  /** Starts PostgreSQL unless it runs, and resolves when it answers. */
  startPostgres(): Promise<void>
  startRedis(): Promise<void>
  /** Sets a setting of the running Redis. */
  configureRedis(name: string, value: string): Promise<unknown>
}

/** Creates the parts and an empty database cluster in `folder`. Starts nothing. */
export async function createDeployment({
  folder,
  mark,
}: {
  folder: string
  mark: string
}): Promise<Deployment> {
  const marked = { [MARK]: mark }
  await chmod(folder, 0o755)
  const postgresDisk = await createDisk(join(folder, 'postgres'))
  const postgres = await createPostgres(join(folder, 'postgres'), marked)
  const redisPort = await freePort()
  const redisFolder = join(folder, 'redis')
  const redisDisk = await createDisk(redisFolder)
  const redisOptions = ['--maxmemory-policy', 'noeviction', '--appendonly', 'yes', '--save', '']
  const redis = createPart({
    name: 'redis',
    command: [
      'redis-server',
      '--port',
      `${redisPort}`,
      '--bind',
      '127.0.0.1',
      '--dir',
      redisFolder,
      ...redisOptions,
    ],
    env: marked,
  })
  const databaseUrl = `postgres://postgres@127.0.0.1:${postgres.port}/postgres`
  const env = {
    ...marked,
    DATABASE_URL: databaseUrl,
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    NIGHT_EVERY_EPISODES: '0',
    LOG_LEVEL: 'info',
  }
  const redisCli = (...args: string[]) =>
    promisify(execFile)('redis-cli', ['-p', `${redisPort}`, ...args], { timeout: 10_000 })
  const createApi = async (name: string): Promise<Api> => {
    const port = await freePort()
    const command = [process.execPath, 'src/main.ts'] as const
    const part = createPart({ name, command: [...command], env: { ...env, PORT: `${port}` } })
    return Object.assign(part, { origin: `http://127.0.0.1:${port}` })
  }
  return {
    apis: [await createApi('api-1'), await createApi('api-2')],
    worker: createPart({ name: 'worker', command: [process.execPath, 'src/worker.ts'], env }),
    postgres: postgres.part,
    redis,
    disks: postgresDisk && redisDisk && { postgres: postgresDisk, redis: redisDisk },
    databaseUrl,
    startPostgres: async () => {
      if (!postgres.part.running()) postgres.part.start()
      await until(() => answers(databaseUrl), 60_000, 'PostgreSQL')
    },
    startRedis: async () => {
      redis.start()
      await until(() => redisCli('ping').then(({ stdout }) => stdout.includes('PONG')), 30_000, 'Redis')
    },
    configureRedis: (name, value) => redisCli('config', 'set', name, value),
  }
}

/** PostgreSQL refuses to run as root, so as root it runs as the user postgres. */
async function createPostgres(folder: string, env: Readonly<Record<string, string>>) {
  const [bin] = globSync('/usr/lib/postgresql/*/bin').sort().reverse()
  if (bin === undefined) throw new Error('chaos: expected PostgreSQL, got none; run .ci/install-servers')
  const data = join(folder, 'data')
  await mkdir(data)
  const isRoot = process.getuid?.() === 0
  const prefix = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : []
  if (isRoot) {
    const { stdout } = await promisify(execFile)('id', ['-u', 'postgres'])
    await chown(data, Number(stdout), -1)
  }
  const port = await freePort()
  const initialise = [...prefix, `${bin}/initdb`, '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8']
  const [program = '', ...args] = [...initialise, '--locale', 'C.UTF-8', '--no-sync']
  await promisify(execFile)(program, args)
  const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${data}`, 'fsync=off']
  const server = [`${bin}/postgres`, '-D', data, '-p', `${port}`, ...settings.flatMap((each) => ['-c', each])]
  const [first = '', ...rest] = [...prefix, ...server]
  return {
    port,
    // setpriv replaces itself by the server, so the spawned process is the server.
    part: createPart({ name: 'postgres', command: [first, ...rest], env }),
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  client.on('error', () => {})
  await client.connect()
  await client.query('select 1')
  await client.end()
  return true
}

/** Polls until `ask` resolves with true. @throws Error after `timeoutMs` */
export async function until(ask: () => Promise<boolean>, timeoutMs: number, what: string): Promise<void> {
  const started = performance.now()
  while (!(await ask().catch(() => false))) {
    if (performance.now() - started > timeoutMs)
      throw new Error(`${what}: expected within ${timeoutMs} ms, got nothing`)
    await delay(50)
  }
}
