/** @file Far from memory: problems of families that no day contained, asked after the last night. */

import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { printTable } from '../report/table.ts'
import { BOTH, GREEDY, LATENT_SEEK, MEMORY, measureArm, WEAVER, withDraft } from './arms.ts'
import type { Observer } from './lives.ts'
import type { Sizes } from './sizes.ts'
import {
  differenceOf,
  FIGURE_HEADER,
  type Figure,
  type Figures,
  figureCells,
  figuresOf,
  show,
  type Tally,
} from './tally.ts'
import { printTargets, reaches, type Target } from './targets.ts'

const LED = [MEMORY, WEAVER, BOTH].map((arm) => withDraft(arm, 'full')).concat(withDraft(BOTH, 'lazy'))

export interface FarReport {
  readonly far: readonly {
    readonly name: string
    readonly figures: Figures
    readonly difference: Figure
  }[]
  readonly targets: readonly Target[]
}

interface FarObserver extends Observer {
  report(): FarReport
}

export function observeFar({ far }: Sizes): FarObserver {
  const arms = new Map<string, (readonly Tally[])[]>()
  return {
    async look({ world, seed, isLast }) {
      if (!isLast) return
      const problems = makeProblems({ split: 'unseen', count: far, seed })
      for (const arm of [GREEDY, LATENT_SEEK, ...LED]) {
        const tallies = await measureArm(world, arm, problems)
        arms.set(arm.name, [...(arms.get(arm.name) ?? []), tallies])
      }
    },
    report() {
      const seek = arms.get(LATENT_SEEK.name)!
      const rows = [...arms].map(([name, bySeed]) => ({
        name,
        figures: figuresOf(bySeed),
        difference: differenceOf(bySeed, seek, 'accuracy'),
      }))
      printTable(
        'Far from memory: families never seen, after the last night',
        ['arm', ...FIGURE_HEADER, 'accuracy against LatentSeek'],
        rows.map(({ name, figures, difference }) => [name, ...figureCells(figures), show(difference)]),
      )
      const targets = LED.map(({ name }) => {
        const difference = differenceOf(arms.get(name)!, seek, 'accuracy')
        const met = reaches(difference)
        return {
          name: `far, ${name}: accuracy against LatentSeek`,
          aim: '>= 0',
          measured: show(difference),
          met,
        }
      })
      printTargets(targets)
      return { far: rows, targets }
    },
  }
}
