/** @file Pictures of the bench of nights, from its records: accuracy by night, and by tokens. */

import { mean, type Plot } from '#evaluation'
import type { Measurement } from '../report/records.ts'
import { AMONGS, nameOf } from './choices.ts'

/** Accuracy and mean tokens of a strategy, means over the seeds of nights. */
interface Point {
  readonly accuracy: number
  readonly tokens: number
}

/** What is read of the record of a night. */
interface NightFigures {
  /** null: no policy for the effort. */
  readonly autoLessGreedy: { readonly gain: { readonly value: number } } | null
}

const COUNTS = AMONGS.filter(({ draft }) => !draft)
const BESIDE_DRAFT = AMONGS.filter(({ draft }) => draft)
const LIKELY = 'ties by log-probability'

export function plotNights(measured: readonly Measurement[]): readonly Plot[] {
  const of = (strategy: string) => pointOf(measured, strategy)
  const [greedy, majority] = [
    of('greedy'),
    COUNTS.map((among) => of(`majority of ${nameOf(among)}, ${LIKELY}`)),
  ]
  const votes = BESIDE_DRAFT.map((among) => of(`majority of ${nameOf(among)}, ${LIKELY}`))
  const judge = BESIDE_DRAFT.map((among) => of(`best of ${nameOf(among)} by judge`))
  const [few, many] = [4, 8].map((samples) => of(`vote of draft and up to ${samples}, until 3 agree`))
  const auto = Object.entries({ low: few!, medium: many!, high: many! }).map(([effort, vote]) =>
    pointOf(measured, `auto, ${effort}`, vote),
  )
  const unlearned = many!.accuracy
  const learned = accuracyByNight(measured, { greedy: greedy.accuracy, unlearned })
  const flat = (accuracy: number) => [0, ...learned.keys()].map((_, night) => [night, accuracy] as const)
  return [
    {
      title: 'accuracy after nights on other problems',
      x: { label: 'nights' },
      y: { label: 'accuracy' },
      legend: { x: 0.3, y: 0.45 },
      series: [
        { name: 'greedy', points: flat(greedy.accuracy) },
        { name: 'majority of 8', points: flat(majority.at(-1)!.accuracy) },
        { name: 'auto before any night', points: flat(unlearned) },
        { name: 'auto, medium', points: [unlearned, ...learned].map((accuracy, night) => [night, accuracy]) },
      ],
    },
    {
      title: 'accuracy by decoded tokens',
      x: { label: 'tokens of a problem' },
      y: { label: 'accuracy' },
      legend: { x: 0.4, y: 0.55 },
      series: [
        { name: 'majority of 2, 4, 8', points: byTokens(majority) },
        { name: 'draft and 2, 4, 8: vote', points: byTokens([greedy, ...votes]) },
        { name: 'draft and 2, 4, 8: judge', points: byTokens([greedy, ...judge]) },
        { name: 'auto: low, medium, high', points: byTokens(auto) },
      ],
    },
  ]
}

/** @param unlearned point of the seeds of nights that have no record; there are such seeds only where it is given */
function pointOf(measured: readonly Measurement[], strategy: string, unlearned?: Point): Point {
  const own = measured.flatMap(({ part, case: { strategy: name }, figures }) =>
    part === 'budgets' && name === strategy ? [figures as Point] : [],
  )
  const seeds = new Set(measured.flatMap(({ part, case: { seed } }) => (part === 'nights' ? [seed] : [])))
  const missing = unlearned === undefined ? 0 : seeds.size - own.length
  const all = [...own, ...Array.from({ length: missing }, () => unlearned!)]
  return {
    accuracy: mean(all.map(({ accuracy }) => accuracy)),
    tokens: mean(all.map(({ tokens }) => tokens)),
  }
}

/** Accuracy of `auto` at effort medium after each night, mean over seeds; without a policy it votes. */
function accuracyByNight(
  measured: readonly Measurement[],
  { greedy, unlearned }: { readonly greedy: number; readonly unlearned: number },
): readonly number[] {
  const nights = Map.groupBy(
    measured.filter(({ part }) => part === 'nights'),
    ({ case: { night } }) => night,
  )
  return [...nights.values()].map((own) =>
    mean(
      own.map(({ figures }) => {
        const { autoLessGreedy: auto } = figures as NightFigures
        return auto === null ? unlearned : greedy + auto.gain.value
      }),
    ),
  )
}

function byTokens(points: readonly Point[]): readonly (readonly [number, number])[] {
  return points.map(({ tokens, accuracy }) => [tokens, accuracy])
}
