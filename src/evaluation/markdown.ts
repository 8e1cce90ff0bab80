/** @file Plain Markdown tables: the output of an evaluation or of a bench can be pasted into a page unchanged. */

export type Cell = string | number

/** Returns the lines of a table, without a line break at the end. */
export function markdownTable(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const lines = [header, header.map(() => '---'), ...rows.map((row) => row.map(format))]
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n')
}

function format(cell: Cell): string {
  if (typeof cell === 'string') return cell.replaceAll('|', '\\|')
  return Number.isInteger(cell)
    ? String(cell)
    : cell.toFixed(Math.abs(cell) >= 100 ? 0 : Math.abs(cell) >= 10 ? 1 : 3)
}
