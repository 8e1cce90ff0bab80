/**
 * @file Folder of an evaluation: `settings.json` guards against mixing settings, `answers.jsonl` has every answer as
 * soon as it is there, so that another call goes on where this one ended.
 */

import { appendFileSync } from 'node:fs'
import { mkdir, readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { coerceError, ServiceError } from '#errors'
import { lockFolder } from '#folder-lock'
import type { Arm } from './arms.ts'
import type { AnswerRecord } from './records.ts'

/** What must be equal in all calls that add to one folder. Arms may be added; an arm that is there keeps its settings. */
export interface Settings {
  readonly version: string
  readonly problems: { readonly file: string; readonly sha256: string }
  /** The model, or the address of its server. */
  readonly model: Readonly<Record<string, unknown>>
  readonly seed: number
  readonly concurrency: number
  readonly arms: readonly Arm[]
}

export interface OutputFolder {
  /** Answers of earlier calls. */
  readonly answers: readonly AnswerRecord[]
  /** Appends an answer; it is on its way to the disk when this returns. */
  add(record: AnswerRecord): void
  write(name: string, text: string): Promise<void>
  /** Lets another call use the folder. */
  close(): Promise<void>
}

const SETTINGS = 'settings.json'
const ANSWERS = 'answers.jsonl'

/**
 * Opens a folder, which is created unless it exists, and locks it. A last line that was cut by a kill is removed.
 *
 * @throws ServiceError REQUEST_INVALID when the folder cannot be created, another call uses it, it has answers of other
 * settings, naming them, or a damaged file
 */
export async function openOutputFolder(directory: string, settings: Settings): Promise<OutputFolder> {
  await makeFolder(directory)
  const lock = lockFolder(directory)
  if ('owner' in lock) {
    throw new ServiceError(
      'REQUEST_INVALID',
      `evaluation: expected ${directory} to be used by one call at a time, got process ${lock.owner} that uses it; ` +
        'wait for its end, or use another --out',
    )
  }
  try {
    const before = await readSettings(join(directory, SETTINGS))
    const known = before === null ? settings : merge(before, settings, directory)
    await writeWhole(join(directory, SETTINGS), `${JSON.stringify(known, null, 2)}\n`)
    const file = join(directory, ANSWERS)
    return {
      answers: await readAnswers(file),
      add: (record) => appendFileSync(file, `${JSON.stringify(record)}\n`),
      write: (name, text) => writeWhole(join(directory, name), text),
      close: async () => lock.release(),
    }
  } catch (thrown) {
    lock.release()
    throw thrown
  }
}

/** Creates the folder of `--out` unless it exists. @throws ServiceError REQUEST_INVALID where it cannot, as where a file has its name */
export async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const got = code === 'EEXIST' ? 'a file of that name' : coerceError(cause).message
    throw new ServiceError('REQUEST_INVALID', `--out: expected a folder ${directory}, got ${got}`, { cause })
  }
}

/** Writes a file that a kill leaves as it was, or as it should be. */
async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.part`, text)
  await rename(`${file}.part`, file)
}

function merge(before: Settings, now: Settings, directory: string): Settings {
  const pairs: (readonly [string, unknown, unknown])[] = [
    ['version of circadian', before.version, now.version],
    ['problems (sha256)', before.problems.sha256, now.problems.sha256],
    ...fieldsOf(before.model, now.model),
    ['seed', before.seed, now.seed],
    ['concurrency', before.concurrency, now.concurrency],
    ...now.arms.flatMap((arm) => {
      const old = before.arms.find(({ name }) => name === arm.name)
      return old === undefined ? [] : [[`arm ${arm.name}`, old, arm] as const]
    }),
  ]
  const other = pairs.filter(([, old, fresh]) => !isDeepStrictEqual(old, fresh))
  if (other.length > 0) {
    const faults = other.map(
      ([name, old, fresh]) => `${name}: expected ${JSON.stringify(old)}, got ${JSON.stringify(fresh)}`,
    )
    throw new ServiceError(
      'REQUEST_INVALID',
      `evaluation: ${directory} has answers of other settings: ${faults.join('; ')}; use another --out`,
    )
  }
  const added = now.arms.filter(({ name }) => before.arms.every((arm) => arm.name !== name))
  return { ...before, arms: [...before.arms, ...added] }
}

function fieldsOf(before: Settings['model'], now: Settings['model']) {
  const names = new Set([...Object.keys(before), ...Object.keys(now)])
  return [...names].map((name) => [`model ${name}`, before[name], now[name]] as const)
}

async function readAnswers(file: string): Promise<AnswerRecord[]> {
  const bytes = (await readIfThere(file)) ?? Buffer.alloc(0)
  const end = bytes.lastIndexOf('\n') + 1
  if (end < bytes.length) await truncate(file, end)
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1)
  return lines.map((line, index) => {
    const record = parse(line)
    if (isAnswer(record)) return record
    throw damaged(`${file}:${index + 1}: expected an answer, got a damaged line`)
  })
}

function isAnswer(record: unknown): record is AnswerRecord {
  const { problem, arm, run } = Object(record) as Partial<AnswerRecord>
  return typeof problem === 'string' && typeof arm === 'string' && typeof run === 'number'
}

async function readSettings(file: string): Promise<Settings | null> {
  const bytes = await readIfThere(file)
  if (bytes === null) return null
  const settings = parse(bytes.toString('utf8'))
  const { problems, model, arms } = Object(settings) as Partial<Settings>
  if (Object(problems) === problems && Object(model) === model && Array.isArray(arms)) {
    return settings as Settings
  }
  throw damaged(`${file}: expected the settings of an evaluation, got a damaged file; use another --out`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function damaged(message: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', message)
}

/** Returns null for a file that does not exist. @throws ServiceError REQUEST_INVALID when it cannot be read */
async function readIfThere(file: string): Promise<Buffer | null> {
  try {
    return await readFile(file)
  } catch (cause) {
    const error = coerceError(cause)
    if ('code' in error && error.code === 'ENOENT') return null
    throw new ServiceError(
      'REQUEST_INVALID',
      `${file}: expected a file that can be read, got ${error.message}`,
      {
        cause,
      },
    )
  }
}
