/** @file Points of a curve over one varied setting, printed as a table. */

import { type Cell, printTable } from '../../report/table.ts'
import { FIGURE_HEADER, type Figures, figureCells } from '../tally.ts'

export interface Point {
  /** Value of the varied setting. */
  readonly at: number | string
  readonly arm: string
  readonly figures: Figures
  /** Further figures of the point. */
  readonly more?: Readonly<Record<string, Cell>>
}

export interface Curve {
  readonly title: string
  /** Name of the varied setting. */
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
