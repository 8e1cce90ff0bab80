/**
 * @file Folder of an evaluation: `settings.json` guards against mixing settings, `answers.jsonl` has every answer as
 * soon as it is there, so that another call goes on where this one ended.
 */

import { appendFileSync } from 'node:fs'
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ServiceError } from '#errors'
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
}

const SETTINGS = 'settings.json'
const ANSWERS = 'answers.jsonl'

/**
 * Opens a folder, which is created unless it exists. A last line that was cut by a kill is removed.
 *
 * @throws ServiceError REQUEST_INVALID when the folder has answers of other settings, naming them, or a damaged line
 */
export async function openOutputFolder(directory: string, settings: Settings): Promise<OutputFolder> {
  await mkdir(directory, { recursive: true })
  const before = await readIfThere(join(directory, SETTINGS))
  const known = before === null ? settings : merge(JSON.parse(before) as Settings, settings, directory)
  await writeFile(join(directory, SETTINGS), `${JSON.stringify(known, null, 2)}\n`)
  const file = join(directory, ANSWERS)
  const answers = await readAnswers(file)
  return {
    answers,
    add: (record) => appendFileSync(file, `${JSON.stringify(record)}\n`),
    write: (name, text) => writeFile(join(directory, name), text),
  }
}

function merge(before: Settings, now: Settings, directory: string): Settings {
  const pairs: (readonly [string, unknown, unknown])[] = [
    ['version of circadian', before.version, now.version],
    ['problems (sha256)', before.problems.sha256, now.problems.sha256],
    ...fieldsOf(before.model, now.model),
    ['seed', before.seed, now.seed],
    ['concurrency', before.concurrency, now.concurrency],
    ...now.arms.flatMap(({ name, request }) => {
      const old = before.arms.find((arm) => arm.name === name)
      return old === undefined ? [] : [[`arm ${name}`, old.request, request] as const]
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
  const bytes = await readFile(file).catch(() => Buffer.alloc(0))
  const end = bytes.lastIndexOf('\n') + 1
  if (end < bytes.length) await truncate(file, end)
  const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1)
  return lines.map((line, index) => {
    try {
      return JSON.parse(line) as AnswerRecord
    } catch (cause) {
      throw new ServiceError(
        'REQUEST_INVALID',
        `${file}:${index + 1}: expected an answer, got a damaged line`,
        {
          cause,
        },
      )
    }
  })
}

async function readIfThere(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch(() => null)
}
