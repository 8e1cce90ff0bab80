/**
 * @file Folder of a profile: `settings.json` guards against mixing models and problems, `measurements.jsonl` has every
 * measurement as soon as it is made, so that another call with the same settings goes on where this one ended.
 */

import { appendFileSync } from 'node:fs'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ServiceError } from '#errors'
import { makeFolder } from '#evaluation'

/** Model, problems and seed of all measurements of a folder. */
export type ProfileSettings = Readonly<Record<string, unknown>>

export interface ProfileFolder {
  readonly path: string
  /** Number of measurements that were made in earlier calls. */
  readonly known: number
  /** Returns whether there is a value under this key. */
  has(key: string): boolean
  /** Returns the value that was measured under this key, or measures it and keeps it. */
  measure<Value>(key: string, work: () => Promise<Value>): Promise<Value>
  write(name: string, content: string | Uint8Array): Promise<void>
}

const SETTINGS = 'settings.json'
const MEASUREMENTS = 'measurements.jsonl'

/**
 * Opens a folder, which is created unless it exists. A last line that was cut by a kill is removed.
 *
 * @throws ServiceError REQUEST_INVALID when the folder cannot be created, has measurements of other settings, naming them, or a
 * damaged line
 */
export async function openProfileFolder(path: string, settings: ProfileSettings): Promise<ProfileFolder> {
  await makeFolder(path)
  const before = await readFile(join(path, SETTINGS), 'utf8').catch(() => null)
  if (before !== null) checkSettings(path, JSON.parse(before) as ProfileSettings, settings)
  await writeFile(join(path, SETTINGS), `${JSON.stringify(settings, null, 2)}\n`)
  const file = join(path, MEASUREMENTS)
  const values = await readMeasurements(file)
  return {
    path,
    known: values.size,
    has: (key) => values.has(key),
    async measure<Value>(key: string, work: () => Promise<Value>) {
      if (values.has(key)) return values.get(key) as Value
      const value = await work()
      values.set(key, value)
      appendFileSync(file, `${JSON.stringify([key, value])}\n`)
      return value
    },
    write: (name, content) => writeFile(join(path, name), content),
  }
}

function checkSettings(path: string, before: ProfileSettings, now: ProfileSettings): void {
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  const other = names.filter((name) => !isDeepStrictEqual(before[name], now[name]))
  if (other.length === 0) return
  const faults = other.map(
    (name) => `${name}: expected ${JSON.stringify(before[name])}, got ${JSON.stringify(now[name])}`,
  )
  throw new ServiceError(
    'REQUEST_INVALID',
    `profile: ${path} has measurements of other settings: ${faults.join('; ')}; use another --out`,
  )
}

async function readMeasurements(file: string): Promise<Map<string, unknown>> {
  const bytes = await readFile(file).catch(() => Buffer.alloc(0))
  const end = bytes.lastIndexOf('\n') + 1
  if (end < bytes.length) await truncate(file, end)
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1)
  return new Map(
    lines.map((line, index) => {
      try {
        return JSON.parse(line) as [string, unknown]
      } catch (cause) {
        const where = `${file}:${index + 1}`
        throw new ServiceError('REQUEST_INVALID', `${where}: expected a measurement, got a damaged line`, {
          cause,
        })
      }
    }),
  )
}
