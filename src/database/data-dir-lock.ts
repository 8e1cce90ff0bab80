/** @file The lock that allows one instance per data directory. */

import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { coerceError, ServiceError } from '#errors'

/**
 * Locks `dataDir` for this process until the returned function is called or the process ends, however it
 * ends.
 *
 * The lock is SQLite's lock on an empty file, which is a record lock of the kernel; Node has no other access
 * to one. The kernel releases it when its owner ends. A lock file left behind by `kill -9` is therefore free
 * at once, two starting processes cannot both take it, and neither a reused process id nor containers in
 * which every process has the id 1 can confuse it. The file with the process id serves only the error
 * message.
 *
 * @throws ServiceError DATA_DIR_LOCKED with the owner's process id, DATA_DIR_UNWRITABLE
 */
export function lockDataDir(dataDir: string): () => void {
  const lockFile = join(dataDir, 'instance.lock')
  const pidFile = join(dataDir, 'instance.pid')
  let lock: DatabaseSync
  try {
    makeDirectory(dataDir)
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    lock = new DatabaseSync(lockFile, { timeout: 0 })
  } catch (thrown) {
    throw unwritable(dataDir, thrown)
  }
  try {
    lock.exec('begin exclusive')
  } catch (thrown) {
    lock.close()
    if (!coerceError(thrown).message.includes('locked')) throw unwritable(dataDir, thrown)
    throw new ServiceError(
      'DATA_DIR_LOCKED',
      `open data directory ${dataDir}: expected no other instance, got process ${readPid(pidFile)} that uses it`,
    )
  }
  try {
    writeFileSync(pidFile, `${process.pid}\n`)
  } catch (thrown) {
    lock.close()
    throw unwritable(dataDir, thrown)
  }
  return () => {
    if (!lock.isOpen) return
    rmSync(pidFile, { force: true })
    lock.close()
  }
}

/** Replaces Node's recursive mkdir, which never returns and uses up all memory below /proc (Node 24.21). */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : null
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw thrown
    makeDirectory(dirname(path))
    mkdirSync(path, { mode: 0o700 })
  }
}

function readPid(pidFile: string): string {
  try {
    return readFileSync(pidFile, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}

function unwritable(dataDir: string, thrown: unknown): ServiceError {
  const error = coerceError(thrown)
  return new ServiceError(
    'DATA_DIR_UNWRITABLE',
    `open data directory ${dataDir}: expected a writable directory, got ${error.message}`,
    { cause: error },
  )
}
