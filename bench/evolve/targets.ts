/** @file Aims of the bench beside the measured figures. */

import { printTable } from '../report/table.ts'
import { type BySeed, differenceOf, type Figure, figuresOf, show, standardErrorOf } from './tally.ts'

export interface Target {
  readonly name: string
  readonly aim: string
  readonly measured: string
  readonly met: 'yes' | 'within noise' | 'no'
}

/** Whether a difference reaches `least`; `within noise` up to two standard errors below it. */
export function reaches(difference: Figure, least = 0): Target['met'] {
  if (difference.value >= least) return 'yes'
  return difference.value + 2 * standardErrorOf(difference) >= least ? 'within noise' : 'no'
}

export function printTargets(targets: readonly Target[]): void {
  printTable(
    'Aims',
    ['aim', 'at', 'measured', 'met'],
    targets.map(({ name, aim, measured, met }) => [name, aim, measured, met]),
  )
}

/** Compares the arms after the last night with the aims, and prints the comparison. */
export function judgeEvolution(arms: {
  readonly greedy: BySeed
  readonly latentSeek: BySeed
  readonly both: BySeed
  readonly bothLazy: BySeed
  readonly weaver: BySeed
}): readonly Target[] {
  const seek = figuresOf(arms.latentSeek)
  const accuracy = (name: string, arm: BySeed): Target => {
    const difference = differenceOf(arm, arms.latentSeek, 'accuracy')
    const measured = show(difference)
    return { name: `${name}: accuracy against LatentSeek`, aim: '>= 0', measured, met: reaches(difference) }
  }
  const share = (name: string, part: number, whole: number, most: number): Target => {
    const ratio = part / whole
    const met = ratio <= most ? 'yes' : 'no'
    return { name, aim: `<= ${most.toFixed(2)}`, measured: ratio.toFixed(3), met }
  }
  const greedy = figuresOf(arms.greedy).accuracy.value
  const first = figuresOf(arms.bothLazy).firstPass.value - greedy
  const both = figuresOf(arms.both)
  const lazy = figuresOf(arms.bothLazy)
  const targets = [
    accuracy('both, full draft', arms.both),
    accuracy('both, lazy draft', arms.bothLazy),
    accuracy('weaver only, full draft', arms.weaver),
    share('both, full draft: steps of LatentSeek', both.steps.value, seek.steps.value, 1 / 3),
    share('both, lazy draft: steps of LatentSeek', lazy.steps.value, seek.steps.value, 1 / 3),
    share(
      'both, lazy draft: generated tokens of LatentSeek',
      lazy.generatedTokens.value,
      seek.generatedTokens.value,
      0.65,
    ),
    {
      name: 'both, lazy draft: first pass above greedy',
      aim: '>= 0.20',
      measured: first.toFixed(3),
      met: first >= 0.2 ? 'yes' : 'no',
    } as const,
  ]
  printTargets(targets)
  return targets
}
