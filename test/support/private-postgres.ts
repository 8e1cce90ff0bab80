/** @file A PostgreSQL server of one test file, which it may stop, freeze and configure; and a PgBouncer. */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { childrenOf, freePort } from './service-process.ts'

const execute = promisify(execFile)

/** PostgreSQL and PgBouncer refuse to run as root. */
const isRoot = process.getuid?.() === 0

function asPostgres(command: string, args: readonly string[]): readonly [string, readonly string[]] {
  return isRoot ? ['runuser', ['-u', 'postgres', '--', command, ...args]] : [command, args]
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const [file, all] = asPostgres(command, args)
  await execute(file, all)
}

export interface PrivatePostgres extends AsyncDisposable {
  readonly port: number
  readonly folder: string
  /** URL of a database, as superuser unless `user` is given. */
  url(database: string, user?: string): string
  /** Runs one statement as superuser. */
  run(sql: string, database?: string): Promise<pg.QueryResult>
  start(): Promise<void>
  /** Ends every backend at once. */
  stop(): Promise<void>
  /** Stops the processes where they are: connections stay open and nothing answers. */
  freeze(): Promise<void>
  thaw(): Promise<void>
}

/** Creates a cluster and starts its server. @param settings lines of postgresql.conf */
export async function startPostgres(settings: readonly string[] = []): Promise<PrivatePostgres> {
  const [bin] = globSync('/usr/lib/postgresql/*/bin').sort().reverse()
  const folder = await mkdtemp(join(tmpdir(), 'postgres-'))
  await chmod(folder, 0o777)
  const data = join(folder, 'data')
  const port = await freePort()
  await run(`${bin}/initdb`, [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'trust',
    '--no-sync',
    '--locale',
    'C.UTF-8',
  ])
  const lines = [
    `port = ${port}`,
    "listen_addresses = '127.0.0.1'",
    `unix_socket_directories = '${folder}'`,
    'fsync = off',
    ...settings,
  ]
  await writeFile(join(data, 'postgresql.auto.conf'), `${lines.join('\n')}\n`)
  const control = (...args: string[]) => run(`${bin}/pg_ctl`, ['-D', data, '-w', ...args])
  const signal = async (name: NodeJS.Signals) => {
    const main = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n', 1)[0])
    for (const pid of [main, ...(await childrenOf(main))]) process.kill(pid, name)
  }
  const url = (database: string, user = 'postgres') => `postgres://${user}@127.0.0.1:${port}/${database}`
  const server: PrivatePostgres = {
    port,
    folder,
    url,
    async run(sql, database = 'postgres') {
      const client = new pg.Client({ connectionString: url(database) })
      await client.connect()
      try {
        return await client.query(sql)
      } finally {
        await client.end()
      }
    },
    start: () => control('-l', join(folder, 'log'), 'start'),
    stop: () => control('-m', 'immediate', 'stop'),
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await server.thaw().catch(() => {})
      await server.stop().catch(() => {})
      await rm(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

export interface PgBouncer extends AsyncDisposable {
  url(database: string, user?: string): string
}

/** Starts a PgBouncer in transaction mode. @param settings lines of its section [pgbouncer] */
export async function startPgBouncer(
  postgres: PrivatePostgres,
  settings: readonly string[] = [],
): Promise<PgBouncer> {
  const port = await freePort()
  const folder = join(postgres.folder, `pgbouncer-${port}`)
  await mkdir(folder)
  await chmod(folder, 0o777)
  const lines = [
    '[databases]',
    `* = host=127.0.0.1 port=${postgres.port}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    'default_pool_size = 4',
    ...settings,
  ]
  // `auth_type = any` connects as the user of the database line.
  lines[1] += ' user=postgres'
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(file, `${lines.join('\n')}\n`)
  const [command, args] = asPostgres('pgbouncer', ['-q', file])
  const child: ChildProcess = spawn(command, args, { stdio: 'ignore' })
  await untilListening(port)
  return {
    url: (database, user = 'postgres') => `postgres://${user}@127.0.0.1:${port}/${database}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    await setTimeout(50)
  }
  throw new Error(`expected a server on port ${port} within 5 s`)
}
