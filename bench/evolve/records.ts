/** @file Records of the bench of days and nights, part by part. */

import type { Measurement } from '../report/records.ts'
import type { ControlsReport } from './controls.ts'
import type { measureCurves } from './curves.ts'
import type { DaysReport } from './days.ts'
import type { FarReport } from './far.ts'
import type { measureForgetting } from './forgetting.ts'
import type { Night } from './night.ts'
import type { measurePoisoning } from './poisoning.ts'
import type { Target } from './targets.ts'

export interface Reports {
  readonly days: { readonly days: readonly DaysReport[]; readonly targets: readonly Target[] }
  readonly far: FarReport
  readonly controls: ControlsReport
  readonly forgetting: Awaited<ReturnType<typeof measureForgetting>>
  readonly poisoning: Awaited<ReturnType<typeof measurePoisoning>>
  readonly curves: Awaited<ReturnType<typeof measureCurves>>
}

/** Records of each part that was measured. */
export const RECORDS: { readonly [Part in keyof Reports]: (report: Reports[Part]) => Measurement[] } = {
  days: ({ days, targets }) => [
    ...days.flatMap(({ day, arms, yesterday, nights }) => [
      ...Object.entries(arms).map(([arm, { p50Ms, ...figures }]) => ({
        part: 'days',
        case: { day, arm },
        n: figures.accuracy.n,
        figures: { ...figures, p50Ms },
      })),
      ...(yesterday === null
        ? []
        : [
            {
              part: 'days',
              case: { day, arm: 'the day itself' },
              n: yesterday.accuracy.n,
              figures: yesterday,
            },
          ]),
      ...nights.map((night, index) => ofNight('days', { day, life: index + 1 }, night)),
    ]),
    ...targets.map((target) => ofTarget('days', target)),
  ],
  far: ({ far, targets }) => [
    ...far.map(({ name, figures, difference }) => ({
      part: 'far',
      case: { arm: name },
      n: figures.accuracy.n,
      figures: { ...figures, difference },
    })),
    ...targets.map((target) => ofTarget('far', target)),
  ],
  controls: ({ controls }) =>
    controls.map(({ name, figures }) => ({
      part: 'controls',
      case: { arm: name },
      n: figures.accuracy.n,
      figures,
    })),
  forgetting: ({ forgetting, nights, targets }) => [
    ...forgetting.map(({ phase, asked, arm, figures }) => ({
      part: 'forgetting',
      case: { days: phase, asked, arm },
      n: figures.accuracy.n,
      figures,
    })),
    ...nights.map((night, index) => ofNight('forgetting', { night: index + 1 }, night)),
    ...targets.map((target) => ofTarget('forgetting', target)),
  ],
  poisoning: ({ poisoning, nights, targets }) => [
    ...poisoning.map(({ attack, injected, arm, figures, ofTarget: target }) => ({
      part: 'poisoning',
      case: { attack, arm },
      n: figures.accuracy.n,
      figures: { ...figures, injected, ofTarget: target },
    })),
    ...Object.entries(nights).flatMap(([attack, some]) =>
      some.map((night, index) => ofNight('poisoning', { attack, night: index + 1 }, night)),
    ),
    ...targets.map((target) => ofTarget('poisoning', target)),
  ],
  curves: ({ seed, curves, nights }) => [
    ...curves.flatMap(({ title, over, points }) =>
      points.map(({ at, arm, figures, more }) => ({
        part: 'curves',
        case: { curve: title, [over]: at, arm },
        n: figures.accuracy.n,
        figures: { ...figures, ...more },
        seeds: [seed],
      })),
    ),
    ...nights.map((night, index) => ({ ...ofNight('curves', { night: index + 1 }, night), seeds: [seed] })),
  ],
}

function ofNight(part: string, labels: Measurement['case'], night: Night): Measurement {
  return { part, case: labels, n: night.episodes, figures: night }
}

function ofTarget(part: string, { name, ...figures }: Target): Measurement {
  return { part, case: { aim: name }, n: null, figures }
}
