/**
 * @file The worker thread of the embedded Postgres: PGlite (Postgres 18 and pgvector in WASM) behind a
 * loopback socket. Statements are synchronous in WASM, so they must not run on the API's event loop. It is a
 * thread rather than a process because a thread cannot outlive the instance that holds the lock on the data
 * directory.
 */

import { existsSync, renameSync, rmSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { openPgProxy } from './pg-proxy.ts'
import { STOP, type ThreadInput, type ThreadReady } from './thread-messages.ts'

/**
 * WAL segments of 1 MB: creating a cluster writes half as much and takes 1.9 s instead of 3.8 s (2 cores).
 */
const INIT_PARAMETERS = ['--wal-segsize=1']

const START_PARAMETERS = [
  // The queue's tables are in a schema of their own. All clients share the backend, so none can set its own
  // search path.
  ...PGlite.defaultStartParams.map((parameter) =>
    parameter.startsWith('search_path=') ? 'search_path=public,bullmq' : parameter,
  ),
  // A quarter of the default: this memory is resident from the start, and the system caches the files
  // anyway.
  '-c',
  'shared_buffers=32MB',
]

async function openCluster(directory: string): Promise<PGlite> {
  if (!existsSync(directory)) {
    // Created under another name and renamed when complete: a start that is killed leaves no incomplete
    // database.
    const unfinished = `${directory}.new`
    rmSync(unfinished, { recursive: true, force: true })
    const cluster = await PGlite.create({ dataDir: unfinished, initDbStartParams: INIT_PARAMETERS })
    await cluster.close()
    renameSync(unfinished, directory)
  }
  return PGlite.create({ dataDir: directory, extensions: { vector }, startParams: START_PARAMETERS })
}

async function main(
  port: NonNullable<typeof parentPort>,
  { directory, password }: ThreadInput,
): Promise<void> {
  const cluster = await openCluster(directory)
  const proxy = await openPgProxy({
    backend: { exchange: (messages) => cluster.execProtocolRaw(messages) },
    password,
    // An uncaught error ends the thread; the main thread then receives 'error' and 'exit'.
    onBroken: (error) =>
      setImmediate(() => {
        throw error
      }),
  })
  port.on('message', (message: unknown) => {
    if (message !== STOP) return
    port.close()
    void proxy.close().then(() => cluster.close())
  })
  port.postMessage({ port: proxy.port } satisfies ThreadReady)
}

if (parentPort === null) throw new Error('internal: backend-thread.ts runs as a worker thread')
await main(parentPort, workerData as ThreadInput)
