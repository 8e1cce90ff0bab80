/** @file Models in another directory of this machine: an exporter's output, or a snapshot in the hub's cache. */

import { constants } from 'node:fs'
import { copyFile, link, readdir, realpath, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { ServiceError } from '#errors'
import type { ModelSource, SourceFile } from './model-source.ts'

/** Size from which a file is linked: smaller ones may be edited, which must not change the original. */
const MIN_LINKED_BYTES = 2 ** 20

/** Returns a source whose large files are linked (hard links) where the file system can, and else copied. */
export function directorySource(directory: string): ModelSource {
  const root = resolve(directory)
  return {
    name: root,
    directoryName: nameOf(root),
    async list() {
      const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => null)
      if (entries === null) {
        throw new ServiceError('MODEL_INVALID', `add model: expected a model directory at ${root}, got none`)
      }
      const files: SourceFile[] = []
      for (const entry of entries) {
        const file = join(entry.parentPath, entry.name)
        // Follows links: in the hub's cache every file is one.
        const found = await stat(file).catch(() => null)
        if (found?.isFile()) files.push({ path: relative(root, file), bytes: found.size, digest: null })
      }
      return { version: '', files }
    },
    async fetch(file, target, _, onBytes) {
      await rm(target, { force: true })
      const original = await realpath(join(root, file.path))
      const copy = () => copyFile(original, target, constants.COPYFILE_FICLONE)
      await (file.bytes < MIN_LINKED_BYTES ? copy() : link(original, target).catch(copy))
      onBytes(file.bytes)
    },
  }
}

/** Returns `ORG--NAME` for the hub's `models--ORG--NAME/snapshots/REVISION`, else the directory's own name. */
function nameOf(root: string): string {
  const snapshots = dirname(root)
  if (basename(snapshots) !== 'snapshots') return basename(root)
  return basename(dirname(snapshots)).replace(/^models--/, '')
}
