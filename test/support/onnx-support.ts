/** @file Generates the table of docs/onnx-support.md: the ops with autodiff rules, from the registries. */

import { SHAPE_RULES, STOPS_GRADIENT, VJP_RULES } from '#autodiff'
import { GRADIENT_CASES, SHAPE_CASES } from './op-cases.ts'

/** Lines that enclose the table in the document. */
const MARKERS = ['<!-- ops: begin (npm run onnx-support) -->', '<!-- ops: end -->'] as const

/** Returns the document with the table between the markers generated anew. */
export function withSupportTable(document: string): string {
  const [begin, end] = MARKERS.map((marker) => document.indexOf(marker)) as [number, number]
  if (begin < 0 || end < begin) throw new Error(`document: expected the lines ${MARKERS.join(' and ')}`)
  return `${document.slice(0, begin)}${MARKERS[0]}\n\n${supportTable()}\n\n${document.slice(end)}`
}

function supportTable(): string {
  const ops = [...new Set([...Object.keys(SHAPE_RULES), ...Object.keys(VJP_RULES), ...STOPS_GRADIENT])].sort()
  const rows = ops.map((op) => [op, shapes(op), gradient(op), checks(op)])
  const table = [['op', 'shape inference', 'gradient', 'cases tried against a run'], ...rows]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const [head, ...body] = table.map(line)
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n')
}

const shapes = (op: string) => (op in SHAPE_RULES ? 'yes' : 'no')
const gradient = (op: string) => (op in VJP_RULES ? 'VJP' : STOPS_GRADIENT.has(op) ? 'stops here' : 'none')

/** Counts the cases of an op; every case is run twice, with sizes as numbers and as symbols. */
function checks(op: string): string {
  const count = (cases: readonly { readonly op: string }[]) => cases.filter((on) => on.op === op).length
  const gradients = count(GRADIENT_CASES)
  const alone = count(SHAPE_CASES)
  return [
    ...(gradients ? [`${gradients} shape and gradient`] : []),
    ...(alone ? [`${alone} shape`] : []),
  ].join(', ')
}
