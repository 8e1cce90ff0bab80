/** @file Plain Markdown tables, so that the output of a bench can be pasted into docs unchanged. */

export type Cell = string | number

export function printTable(
  title: string,
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
): void {
  const lines = [header, header.map(() => '---'), ...rows.map((row) => row.map(format))]
  console.log(`\n### ${title}\n`)
  for (const line of lines) console.log(`| ${line.join(' | ')} |`)
}

function format(cell: Cell): string {
  if (typeof cell === 'string') return cell
  return Number.isInteger(cell)
    ? String(cell)
    : cell.toFixed(Math.abs(cell) >= 100 ? 0 : Math.abs(cell) >= 10 ? 1 : 3)
}
