/** @file Records of the quality bench: strategies, and latent thinking optimisation. */

import type { Measurement } from '../report/records.ts'
import type { measureLto } from './lto.ts'
import type { measureStrategies } from './strategies.ts'

export function strategyRecords({
  arms,
  judge,
  curves,
  count,
}: Awaited<ReturnType<typeof measureStrategies>>): Measurement[] {
  const sweeps = Object.entries(curves).flatMap(([name, points]) =>
    Object.entries(points).map(([point, { n, ...figures }]) => ({
      part: name,
      case: { [name]: Number(point) },
      n,
      figures,
    })),
  )
  return [
    ...Object.entries(arms).map(([arm, { n, ...figures }]) => ({ part: 'arms', case: { arm }, n, figures })),
    ...Object.entries(judge).map(([measure, value]) => ({
      part: 'judge',
      case: { measure },
      n: count,
      figures: { value },
    })),
    ...sweeps.toSorted((a, b) => Number(Object.values(a.case)[0]) - Number(Object.values(b.case)[0])),
  ]
}

export function ltoRecords(report: Awaited<ReturnType<typeof measureLto>>): Measurement[] {
  const { count, taught, pace, selection, scorers } = report
  const { metrics, ...lesson } = taught
  const { n: paced, ...paceFigures } = pace
  const estimates = (part: string, of: typeof selection.arms): Measurement[] =>
    Object.entries(of).map(([arm, figures]) => ({ part, case: { arm }, n: count, figures }))
  const records: Measurement[] = [
    ...Object.entries(lesson).map(([what, value]) => ({
      part: 'lesson',
      case: { what },
      n: lesson.questions,
      figures: { value },
    })),
    ...Object.entries(metrics).map(([figure, { n, ...figures }]) => ({
      part: 'night',
      case: { figure },
      n,
      figures,
    })),
    { part: 'pace', case: {}, n: paced, figures: paceFigures },
    ...estimates('selection', selection.arms),
    ...estimates('differences', selection.differences),
    ...scorers.map(({ scorer, auc, ece }) => ({
      part: 'scorers',
      case: { scorer },
      n: auc.n,
      figures: { auc, ece },
    })),
  ]
  if (!('curves' in report)) return records
  const { curves, layers, transfer } = report
  const points = (part: string, over: string, lines: typeof curves.overSamples): Measurement[] =>
    (lines[0]?.points ?? []).map(({ x }, index) => ({
      part,
      case: { [over]: x },
      n: count,
      figures: Object.fromEntries(
        lines.map(({ name, points }) => {
          const { x: _, ...estimate } = points[index]!
          return [name, estimate]
        }),
      ),
    }))
  return [
    ...records,
    ...points('over samples', 'N', curves.overSamples),
    ...points('over beta', 'beta', curves.overBeta),
    ...layers.map(({ layer, ...figures }) => ({ part: 'layers', case: { layer }, n: count, figures })),
    ...transfer.map(({ family, ...figures }) => ({ part: 'transfer', case: { family }, n: null, figures })),
  ]
}
