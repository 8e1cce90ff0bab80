/** @file Tables of a bench on stdout, in Markdown. */

import { type Cell, markdownTable } from '#evaluation'

export type { Cell } from '#evaluation'

export function printTable(
  title: string,
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): void {
  console.log(`\n### ${title}\n\n${markdownTable(header, rows)}`)
}
