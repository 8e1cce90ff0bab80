/** @file One thing is varied, the rest stays: the points of a curve, printed as a table. */

import { type Cell, printTable } from '../../report/table.ts'
import { FIGURE_HEADER, type Figures, figureCells } from '../tally.ts'

export interface Point {
  /** What is varied. */
  readonly at: number | string
  readonly arm: string
  readonly figures: Figures
  /** What else was measured there. */
  readonly more?: Readonly<Record<string, Cell>>
}

export interface Curve {
  readonly title: string
  /** What is varied, in words. */
  readonly over: string
  readonly points: readonly Point[]
}

export function printCurve({ title, over, points }: Curve): void {
  const more = Object.keys(points[0]?.more ?? {})
  printTable(
    title,
    [over, 'arm', ...FIGURE_HEADER, ...more],
    points.map((point) => [
      ...[point.at, point.arm, ...figureCells(point.figures)],
      ...more.map((name) => point.more?.[name] ?? ''),
    ]),
  )
}
