/** @file Opens the embedded Postgres: a directory, a lock on it, and a thread that serves it. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { coerceError, ServiceError } from '#errors'
import { createPool } from '../create-pool.ts'
import { lockDataDir } from '../data-dir-lock.ts'
import type { Database } from '../database.ts'
import { query } from '../query.ts'
import { STOP, type ThreadInput, type ThreadReady } from './thread-messages.ts'

/**
 * Opens `<dataDir>/postgres`, created on the first start. Committed data survives `kill -9` of the process,
 * but not a power cut, because WASM has no fsync.
 */
export async function openEmbeddedDatabase({
  dataDir,
  logger,
}: {
  dataDir: string
  logger: Logger
}): Promise<Database> {
  const unlock = lockDataDir(dataDir)
  try {
    const password = randomBytes(24).toString('base64url')
    const thread = await startThread({ directory: join(dataDir, 'postgres'), password }, logger)
    const connectionString = `postgres://postgres:${password}@127.0.0.1:${thread.port}/postgres`
    // There is one backend: a second connection could only wait, also during a transaction of the first.
    const pool = createPool({ connectionString, max: 1, logger, isServer: false })
    let closing: Promise<void> | undefined
    const close = async (): Promise<void> => {
      await pool.end()
      await thread.stop()
      unlock()
    }
    return {
      kind: 'embedded',
      pool,
      connectionString,
      state: () => 'up',
      async check() {
        await query({ pool }, 'check database', 'select 1')
        return 'up'
      },
      close: () => {
        closing ??= close()
        return closing
      },
    }
  } catch (thrown) {
    unlock()
    throw thrown
  }
}

async function startThread(
  input: ThreadInput,
  logger: Logger,
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const thread = new Worker(new URL('./backend-thread.ts', import.meta.url), {
    name: 'postgres',
    workerData: input,
  })
  // Not `events.once`, which rejects on 'error': a thread that fails emits 'error' and then 'exit'.
  const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
  try {
    const [ready] = (await Promise.race([
      once(thread, 'message'),
      exited.then(() => Promise.reject(new Error('an exit of its thread'))),
    ])) as [ThreadReady]
    let stopping = false
    thread.on('error', (error) =>
      logger.fatal({ err: error }, 'embedded database failed: restart the service'),
    )
    thread.on('exit', () => {
      if (!stopping) logger.fatal('embedded database thread ended: restart the service')
    })
    return {
      port: ready.port,
      stop: async () => {
        stopping = true
        thread.postMessage(STOP)
        await exited
      },
    }
  } catch (thrown) {
    const error = coerceError(thrown)
    throw new ServiceError(
      'STORE_UNAVAILABLE',
      `start the embedded database in ${input.directory}: expected it to start, got ${error.message}`,
      { cause: error },
    )
  }
}
