/** @file Versions of pgvector: the oldest one that works, and the oldest one whose indexes are safe. */

/** Oldest version with all types and operators that the statements use. */
export const MIN_PGVECTOR = '0.8.0'

/**
 * Oldest version on which HNSW indexes are built and used. 0.8.2 fixed a buffer overflow in parallel builds,
 * 0.8.3 the corruption of indexes by VACUUM, 0.8.4 errors of inserts during VACUUM.
 */
export const MIN_PGVECTOR_FOR_INDEXES = '0.8.4'

/** Whether a version of the form `1.2.3` is older than another one. Missing and unreadable parts are 0. */
export function isOlderVersion(version: string, than: string): boolean {
  const parts = (text: string) => text.split('.').map((part) => Number.parseInt(part, 10) || 0)
  const [left, right] = [parts(version), parts(than)]
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}
