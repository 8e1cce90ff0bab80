/**
 * @file Figures on held-out problems day by day: memory and weaver, beside the draft and the search alone.
 */

import type { Plot } from '#evaluation'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { quantile } from '../report/statistics.ts'
import { printTable } from '../report/table.ts'
import { BOTH, GREEDY, LATENT_SEEK, MEMORY, measureArm, measurePace, WEAVER, withDraft } from './arms.ts'
import type { Observer } from './lives.ts'
import type { Night } from './night.ts'
import type { Sizes } from './sizes.ts'
import { FIGURE_HEADER, type Figures, figureCells, figuresOf, type Measure, type Tally } from './tally.ts'
import { judgeEvolution, type Target } from './targets.ts'

const BASELINES = [GREEDY, LATENT_SEEK]
const LED = (['full', 'lazy'] as const).flatMap((draft) =>
  [MEMORY, WEAVER, BOTH].map((arm) => withDraft(arm, draft)),
)
const ARMS = [...BASELINES, ...LED]

/** Tallies of one day, by arm and seed. */
interface Day {
  readonly arms: Map<string, (readonly Tally[])[]>
  readonly paces: Map<string, number[]>
  readonly yesterday: (readonly Tally[])[]
  readonly nights: Night[]
}

export interface DaysReport {
  readonly day: number
  readonly arms: Readonly<Record<string, Figures & { readonly p50Ms: number }>>
  readonly yesterday: Figures | null
  readonly nights: readonly Night[]
}

interface DaysObserver extends Observer {
  report(): { readonly days: readonly DaysReport[]; readonly targets: readonly Target[] }
}

export function observeDays({ heldOut, days: count, paced }: Sizes): DaysObserver {
  const days: Day[] = Array.from({ length: count + 1 }, () => ({
    arms: new Map(),
    paces: new Map(),
    yesterday: [],
    nights: [],
  }))
  return {
    async look({ world, seed, day, yesterday, night }) {
      const { arms, paces, yesterday: streams, nights } = days[day]!
      const problems = makeProblems({ split: 'heldout', count: heldOut, seed })
      const note = (name: string, tallies: readonly Tally[]) =>
        arms.set(name, [...(arms.get(name) ?? []), tallies])
      // The baselines use no memory: they are the same every day.
      for (const arm of BASELINES) {
        const before = days[0]!.arms.get(arm.name)
        note(arm.name, day === 0 ? await measureArm(world, arm, problems) : before!.at(-1)!)
      }
      // On day 0 there is no memory and no weaver, so all these arms are the same.
      const unled = day === 0 ? await measureArm(world, LED[0]!, problems) : null
      for (const arm of LED) note(arm.name, unled ?? (await measureArm(world, arm, problems)))
      const each = paced * ARMS.length
      const timed = makeProblems({ split: 'heldout', count: (day + 1) * each, seed: seed + 1000 })
      const times = await measurePace(world, ARMS, timed.slice(day * each))
      for (const [name, ms] of times) paces.set(name, [...(paces.get(name) ?? []), ...ms])
      if (night === null) return
      streams.push(yesterday)
      nights.push(night)
    },
    report() {
      const reports = days.map((day, number) => reportDay(number, day))
      reports.forEach(printDay)
      printYesterdays(reports)
      const [before, after] = [days[0]!.arms, days.at(-1)!.arms]
      const [full, lazy] = [withDraft(BOTH, 'full').name, withDraft(BOTH, 'lazy').name]
      const targets = judgeEvolution({
        greedy: before.get(GREEDY.name)!,
        latentSeek: before.get(LATENT_SEEK.name)!,
        both: after.get(full)!,
        bothLazy: after.get(lazy)!,
        weaver: after.get(withDraft(WEAVER, 'full').name)!,
      })
      return { days: reports, targets }
    },
  }
}

function reportDay(day: number, { arms, paces, yesterday, nights }: Day): DaysReport {
  const named = [...arms].map(([name, bySeed]) => [
    name,
    { ...figuresOf(bySeed), p50Ms: quantile(paces.get(name) ?? [], 0.5) },
  ])
  return {
    day,
    arms: Object.fromEntries(named),
    yesterday: yesterday.length === 0 ? null : figuresOf(yesterday),
    nights,
  }
}

function printDay({ day, arms }: DaysReport): void {
  printTable(
    day === 0 ? 'Day 0: nothing remembered, nothing learned' : `After day and night ${day}`,
    ['arm', ...FIGURE_HEADER, 'p50 ms alone'],
    Object.entries(arms).map(([name, figures]) => [name, ...figureCells(figures), figures.p50Ms]),
  )
}

function printYesterdays(reports: readonly DaysReport[]): void {
  const lived = reports.filter(({ yesterday }) => yesterday !== null)
  printTable(
    'The days themselves: problems met for the first time, learned from at once',
    ['day', ...FIGURE_HEADER],
    lived.map(({ day, yesterday }) => [day, ...figureCells(yesterday!)]),
  )
  printTable(
    'The nights',
    ['night', 'episodes', 'seconds', 'trainer MiB', 'explained', 'gate', 'its word'],
    lived.flatMap(({ day, nights }) =>
      nights.map((night) => [
        day,
        night.episodes,
        night.seconds,
        night.trainerMiB ?? '',
        night.explained ?? '',
        night.status,
        night.reason ?? '',
      ]),
    ),
  )
}

/** Plots of accuracy and cost over days. */
export function plotDays(reports: readonly DaysReport[]): readonly Plot[] {
  const plotted = [
    [GREEDY.name, 'greedy'],
    [LATENT_SEEK.name, 'LatentSeek'],
    [withDraft(MEMORY, 'lazy').name, 'memory'],
    [withDraft(WEAVER, 'lazy').name, 'weaver'],
    [withDraft(BOTH, 'lazy').name, 'both'],
  ] as const
  // Only the first plot has a legend, at a place without lines.
  const plot = (measure: Measure, label: string, legend: Plot['legend'] = null): Plot => ({
    title: `${label} on held-out problems`,
    x: { label: 'days and nights' },
    y: { label: label.toLowerCase() },
    legend,
    series: plotted.map(([arm, name]) => ({
      name,
      points: reports.map(({ day, arms }) => [day, arms[arm]![measure].value] as const),
    })),
  })
  return [
    plot('accuracy', 'Accuracy', { x: 0.5, y: 0.08 }),
    plot('steps', 'Optimiser steps'),
    plot('generatedTokens', 'Generated tokens'),
  ]
}
