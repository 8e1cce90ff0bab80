/** @file A disk of limited size, on which a server keeps its data until it is full. */

import { execFile } from 'node:child_process'
import { mkdir, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Size while the disk is not full: an upper bound, of which only the used part takes memory. */
const SIZE = '8g'
const MAX_FILL_ATTEMPTS = 50

export interface Disk {
  /** Shrinks the disk to what is used: every further block is refused with ENOSPC. */
  fill(): Promise<void>
  free(): Promise<void>
  /** Takes the disk away, also while a process still uses it. */
  remove(): Promise<void>
}

/**
 * Creates the folder on a disk of its own.
 *
 * @returns null when this process may not mount: the folder is on the disk of its parent
 */
export async function createDisk(folder: string): Promise<Disk | null> {
  await mkdir(folder)
  try {
    await execute('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'circadian-chaos', folder])
  } catch {
    return null
  }
  const resize = (size: string) => execute('mount', ['-o', `remount,size=${size}`, folder])
  return {
    async fill() {
      for (let attempt = 1; ; attempt++) {
        const { blocks, bfree, bsize } = await statfs(folder)
        try {
          await resize(String((blocks - bfree) * bsize))
          return
        } catch (error) {
          // The server has used more meanwhile.
          if (attempt === MAX_FILL_ATTEMPTS) throw error
        }
      }
    },
    async free() {
      await resize(SIZE)
    },
    async remove() {
      await execute('umount', ['--lazy', folder])
    },
  }
}
