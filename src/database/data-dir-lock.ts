/** @file The lock that allows one instance per data directory. */

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { coerceError, hasCode, ServiceError } from '#errors'
import { type FolderLock, lockFolder } from '#folder-lock'

/**
 * Locks `dataDir` for this process until the returned function is called or the process ends, however it
 * ends.
 *
 * @throws ServiceError DATA_DIR_LOCKED with the owner's process id, DATA_DIR_UNWRITABLE
 */
export function lockDataDir(dataDir: string): () => void {
  let lock: FolderLock
  try {
    makeDirectory(dataDir)
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    lock = lockFolder(dataDir)
  } catch (thrown) {
    throw unwritable(dataDir, thrown)
  }
  if ('release' in lock) return lock.release
  throw new ServiceError(
    'DATA_DIR_LOCKED',
    `open data directory ${dataDir}: expected no other instance, got process ${lock.owner} that uses it`,
  )
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

function unwritable(dataDir: string, thrown: unknown): Error {
  const error = coerceError(thrown)
  if (hasCode(error, 'DATA_DIR_UNWRITABLE')) return error
  return new ServiceError(
    'DATA_DIR_UNWRITABLE',
    `open data directory ${dataDir}: expected a writable directory, got ${error.message}`,
    { cause: error },
  )
}
