/** @file A lock on a folder between processes. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { coerceError, ServiceError } from '#errors'

/** Files of the lock in its folder; the second has the process id of the owner, for error messages. */
export const LOCK_FILES = ['instance.lock', 'instance.pid'] as const

/** `owner`: id of the process that has the lock, `unknown` if it cannot be read. */
export type FolderLock = { readonly owner: string } | { readonly release: () => void }

/**
 * Locks a folder until `release` is called or the process ends, however it ends.
 *
 * The lock is SQLite's lock on an empty file, which is a record lock of the kernel; Node has no other access
 * to one. The kernel releases it when its owner ends. A lock file left behind by `kill -9` is therefore free
 * at once, two starting processes cannot both take it, and neither a reused process id nor containers in
 * which every process has the id 1 can confuse it. The lock file stays: removing it would let a process that has
 * opened it already own a lock that no other process sees.
 *
 * @throws ServiceError DATA_DIR_UNWRITABLE
 */
export function lockFolder(folder: string): FolderLock {
  const [lockFile, pidFile] = LOCK_FILES.map((name) => join(folder, name)) as [string, string]
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(lockFile, { timeout: 0 })
    lock.exec('begin exclusive')
    writeFileSync(pidFile, `${process.pid}\n`)
  } catch (thrown) {
    lock?.close()
    const { message } = coerceError(thrown)
    if (message.includes('locked')) return { owner: readPid(pidFile) }
    throw new ServiceError(
      'DATA_DIR_UNWRITABLE',
      `lock ${folder}: expected a writable folder, got ${message}`,
      { cause: thrown },
    )
  }
  const held = lock
  return {
    release: () => {
      if (!held.isOpen) return
      rmSync(pidFile, { force: true })
      held.close()
    },
  }
}

function readPid(pidFile: string): string {
  try {
    return readFileSync(pidFile, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
