/** @file The embedded Postgres: a folder, a lock on it, and a thread that serves it. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { coerceError, ServiceError } from '#errors'
import { createPool } from '../create-pool.ts'
import { lockDataDir } from '../data-dir-lock.ts'
import type { Database } from '../database.ts'
import { STOP, type ThreadInput, type ThreadReady } from './thread-messages.ts'

/**
 * Opens `<dataDir>/postgres`, created on the first start. What was committed survives `kill -9` of the process; not a
 * power cut, because WASM has no fsync.
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
    // One backend: a second connection could only wait, and would wait while the first holds a transaction.
    const pool = createPool({ connectionString, max: 1, logger })
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
  // Not `once`, which rejects on 'error': a thread that breaks down exits after it.
  const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
  try {
    const [ready] = (await Promise.race([
      once(thread, 'message'),
      exited.then(() => Promise.reject(new Error('its thread ended'))),
    ])) as [ThreadReady]
    let stopping = false
    thread.on('error', (error) => logger.fatal({ err: error }, 'the embedded database broke down'))
    thread.on('exit', () => {
      if (!stopping) logger.fatal('the embedded database ended: restart the service')
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
      `start the embedded database in ${input.directory}: expected it to come up, got ${error.message}`,
      { cause: error },
    )
  }
}
