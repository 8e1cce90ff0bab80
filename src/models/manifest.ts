/** @file The record of an added model in its directory: its source, and the sha256 of every file. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

export const MANIFEST_FILE = 'circadian-manifest.json'

export interface Manifest {
  readonly source: string
  /** Pattern of the graph that was asked for; null: none. */
  readonly only: string | null
  /** Commit on the hub; empty for a directory. */
  readonly version: string
  readonly files: readonly ManifestFile[]
}

export interface ManifestFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/** Returns the manifest of a directory; null when there is none that can be read, or it is damaged. */
export async function readManifest(directory: string): Promise<Manifest | null> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(directory, MANIFEST_FILE), 'utf8'))
    return isManifest(manifest) ? manifest : null
  } catch {
    return null
  }
}

function isManifest(value: unknown): value is Manifest {
  const { source, only, version, files } = Object(value) as Partial<Manifest>
  const isFile = (file: unknown) => {
    const { path, sha256 } = Object(file) as Partial<ManifestFile>
    return typeof path === 'string' && typeof sha256 === 'string'
  }
  return (
    typeof source === 'string' &&
    (only === null || typeof only === 'string') &&
    typeof version === 'string' &&
    Array.isArray(files) &&
    // No model is without files: an empty list would verify nothing.
    files.length > 0 &&
    files.every(isFile)
  )
}

/** Returns the paths of files that are missing or differ from the manifest. */
export async function findChanged(directory: string, { files }: Manifest): Promise<string[]> {
  const changed: string[] = []
  for (const { path, sha256 } of files) {
    const digests = await digestFile(join(directory, path)).catch(() => null)
    if (digests?.sha256 !== sha256) changed.push(path)
  }
  return changed
}

/** Returns the sha256 of a file, and the SHA-1 by which git names its content; reads it as a stream. */
export async function digestFile(file: string): Promise<{ readonly sha256: string; readonly git: string }> {
  const sha256 = createHash('sha256')
  const git = createHash('sha1').update(`blob ${(await stat(file)).size}\0`)
  for await (const block of createReadStream(file, { highWaterMark: 1 << 20 })) {
    sha256.update(block)
    git.update(block)
  }
  return { sha256: sha256.digest('hex'), git: git.digest('hex') }
}
