/** @file Rows of numbers as CSV, stored beside the plots that show them. */

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Cell } from './table.ts'

/** Writes a header and rows; cells hold no comma, quote or line break. */
export async function writeCsv(
  file: string,
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  const cells = (row: readonly Cell[]) => row.map((cell) => (typeof cell === 'number' ? round(cell) : cell))
  await writeFile(file, `${[header, ...rows.map(cells)].map((row) => row.join(',')).join('\n')}\n`)
}

const round = (value: number) => (Number.isInteger(value) ? value : Number(value.toPrecision(5)))
