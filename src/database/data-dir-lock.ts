/** @file One instance per data directory. */

import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { coerceError, ServiceError } from '#errors'

/**
 * Holds `dataDir` for this process until the returned function is called or the process ends in any way.
 *
 * The lock is SQLite's on an empty file, that is the kernel's own record lock: Node offers no other way to one. The
 * kernel drops it with its owner, so a lock file left by `kill -9` is free at once, two starters cannot both take it
 * over, and neither a reused process id nor a container in which everybody is process 1 confuses it. The process id
 * lies beside it only to be named in the error.
 *
 * @throws ServiceError DATA_DIR_LOCKED naming the owner's process id, DATA_DIR_UNWRITABLE
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
      `open data directory ${dataDir}: expected no other instance, got process ${readPid(pidFile)} at work in it`,
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

/** Not Node's recursive mkdir: below /proc that one never returns and takes all memory (Node 24.21). */
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
    `open data directory ${dataDir}: expected a folder that can be written, got ${error.message}`,
    { cause: error },
  )
}
