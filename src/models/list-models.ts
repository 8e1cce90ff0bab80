/** @file Lists the model directories of a folder. */

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectModelDirectory } from '#engine'
import { readFacts } from './check-model.ts'
import { formatBytes } from './format-report.ts'

export interface ListedModel {
  readonly directory: string
  /** Null for a directory that the service refuses. */
  readonly model: {
    readonly fingerprint: string
    /** Size of the files that serving reads. */
    readonly bytes: number
    /** `circadian.json`, `models/profiles/NAME`, or `default`. */
    readonly profile: string
  } | null
  /** Text of the error with which the service would refuse it; null: none. */
  readonly fault: string | null
}

/**
 * Lists `first`, and the directories in `folder` without the temporary ones; none when there is no such folder.
 * Reads all weights once, for the fingerprints.
 */
export async function listModels(first: string, folder: string): Promise<ListedModel[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const names = entries
    .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort()
  const listed: ListedModel[] = []
  for (const directory of [first, ...names.map((name) => join(folder, name))]) {
    const inspected = await inspectModelDirectory(directory)
    if (Array.isArray(inspected)) {
      listed.push({ directory, model: null, fault: inspected[0].message })
      continue
    }
    const { fingerprint, files, profileSource } = await readFacts(inspected)
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
    listed.push({ directory, model: { fingerprint, bytes, profile: profileSource }, fault: null })
  }
  return listed
}

/** Returns one line for each model: directory, fingerprint, size, profile. */
export function formatList(models: readonly ListedModel[]): string {
  const width = Math.max(...models.map(({ directory }) => directory.length))
  return models
    .map(({ directory, model, fault }) => {
      const name = directory.padEnd(width)
      if (model === null) return `${name}  cannot be served: ${fault}`
      const profile = model.profile === 'default' ? 'default profile' : model.profile
      return `${name}  ${model.fingerprint.slice(0, 12)}  ${formatBytes(model.bytes).padStart(9)}  ${profile}`
    })
    .join('\n')
}
