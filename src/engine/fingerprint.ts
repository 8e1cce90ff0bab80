/** @file What makes latents of one model incomparable with those of another. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

/** A file that gives latents their meaning. */
export interface FingerprintPart {
  /** What the file is to the model; its name on disk does not matter. */
  readonly role: string
  readonly file: string
}

/**
 * sha256 over the contents of `parts` in the given order, in hex. Reads the files as streams, so weights of any size
 * pass through a fixed buffer.
 */
export async function fingerprint(parts: readonly FingerprintPart[]): Promise<string> {
  const hash = createHash('sha256')
  for (const { role, file } of parts) {
    const { size } = await stat(file)
    // The header keeps the border between two files from moving unseen.
    hash.update(`${role}\0${size}\0`)
    for await (const block of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(block)
  }
  return hash.digest('hex')
}
