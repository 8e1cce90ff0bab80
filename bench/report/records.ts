/**
 * @file Results of a bench as JSON lines: the form of every `--json FILE` and of the files in bench/results.
 */

import { readFile, writeFile } from 'node:fs/promises'
import type { Machine } from '#evaluation'
import type { Cell } from './table.ts'

/** One row of a table, with all digits. */
export interface Measurement {
  /** Part of the bench that measured it; the rows of one table share it. */
  readonly part: string
  /** Labels that distinguish the record within its part, for example the arm. */
  readonly case: Readonly<Record<string, Cell>>
  /** Number of observations behind the figures; null where the part has no single count. */
  readonly n: number | null
  readonly figures: object
  /** Given where the record covers only some seeds of the run. */
  readonly seeds?: readonly number[]
  /** Settings of the run; on the first record of a part only. */
  readonly settings?: object
}

export interface Run {
  readonly bench: string
  readonly machine: Machine
  /** Seeds of the run; empty where the bench's code fixes them. */
  readonly seeds: readonly number[]
}

/** Writes one record a line. Emphasis marks of Markdown are dropped from the labels. */
export async function writeRecords(
  file: string,
  run: Run,
  measurements: readonly Measurement[],
): Promise<void> {
  await writeFile(file, recordLines(run, measurements).join(''))
}

/** Replaces the records of the parts that were measured; records of other parts keep their place. */
export async function updateRecords(
  file: string,
  run: Run,
  measurements: readonly Measurement[],
): Promise<void> {
  const measured = new Set(measurements.map(({ part }) => part))
  const kept = (await readRecords(file).catch(() => [])).filter(({ part }) => !measured.has(part))
  const lines = [...kept.map((record) => `${JSON.stringify(record)}\n`), ...recordLines(run, measurements)]
  await writeFile(file, lines.join(''))
}

/** Measurements in a file of JSON lines. */
export async function readRecords(file: string): Promise<Measurement[]> {
  const text = await readFile(file, 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Measurement)
}

/** One measurement per row of a table: the first column labels it, the others are its figures. */
export function rowMeasurements(
  part: string,
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): Measurement[] {
  const [label = '', ...columns] = header
  return rows.map(([first = '', ...cells]) => ({
    part,
    case: { [label]: first },
    n: null,
    figures: Object.fromEntries(columns.map((column, index) => [column, cells[index]])),
  }))
}

function recordLines(run: Run, measurements: readonly Measurement[]): string[] {
  const { commit, date, ...host } = run.machine
  return measurements.map(({ part, case: labels, seeds = run.seeds, n, figures, settings }) => {
    const plain = Object.fromEntries(
      Object.entries(labels).map(([name, label]) => [
        name,
        typeof label === 'string' ? label.replaceAll('**', '') : label,
      ]),
    )
    const record = {
      bench: run.bench,
      part,
      case: plain,
      seeds,
      n,
      figures,
      settings,
      machine: host,
      commit,
      date,
    }
    return `${JSON.stringify(record)}\n`
  })
}
