/** @file Forgetting: half of the families, then the other half, then the first again. */

import { makeProblems, type Problem, trainedFamilies } from '../../models/order-of-operations/problems.ts'
import type { Workbench } from '../quality/workbench.ts'
import { progress } from '../report/progress.ts'
import { printTable } from '../report/table.ts'
import { BOTH, LATENT_SEEK, MEMORY, measureArm, WEAVER } from './arms.ts'
import type { Night } from './night.ts'
import type { Sizes } from './sizes.ts'
import {
  type BySeed,
  differenceOf,
  FIGURE_HEADER,
  figureCells,
  figuresOf,
  show,
  type Tally,
} from './tally.ts'
import { printTargets, reaches } from './targets.ts'
import { freshWorld } from './world.ts'

const PHASES = [0, 1, 0]
const LED = [MEMORY, WEAVER, BOTH]
const HALVES = ['first half', 'second half']

/** Index of a problem's half: families alternate, so that each half has every convention. */
const halfOf = ({ family }: Problem) => trainedFamilies.findIndex((trained) => trained.family === family) % 2

/** The first `count` problems of half of the families. */
function problemsOf(
  half: number,
  options: { split: 'train' | 'heldout'; count: number; seed: number },
): readonly Problem[] {
  const drawn = makeProblems({ ...options, count: options.count * 4 })
  return drawn.filter((problem) => halfOf(problem) === half).slice(0, options.count)
}

export async function measureForgetting(
  bench: Workbench,
  seeds: readonly number[],
  { perDay, perHalf }: Sizes,
) {
  const tallies = new Map<string, (readonly Tally[])[]>()
  const nights: Night[] = []
  const keyOf = (phase: number, half: number, arm: string) => `${phase} ${half} ${arm}`
  for (const seed of seeds) {
    await using world = await freshWorld(bench)
    const note = async (phase: number, arms: readonly (typeof MEMORY)[]) => {
      for (const half of HALVES.keys()) {
        const problems = problemsOf(half, { split: 'heldout', count: perHalf, seed })
        for (const arm of arms) {
          const key = keyOf(phase, half, arm.name)
          tallies.set(key, [...(tallies.get(key) ?? []), await measureArm(world, arm, problems)])
        }
      }
    }
    await note(0, [LATENT_SEEK])
    for (const [index, half] of PHASES.entries()) {
      // Each phase has its own seed, so the last phase does not repeat the problems of the first.
      await world.live(problemsOf(half, { split: 'train', count: perDay, seed: seed + index * 10_000 }))
      nights.push(await world.sleep())
      await note(index + 1, LED)
      progress(`forgetting, seed ${seed}, day ${index + 1} of ${PHASES.length}`)
    }
  }
  return report((phase, half, arm) => tallies.get(keyOf(phase, half, arm))!, nights)
}

function report(of: (phase: number, half: number, arm: string) => BySeed, nights: readonly Night[]) {
  const rows = [0, 1, 2, 3].flatMap((phase) =>
    HALVES.flatMap((asked, half) =>
      (phase === 0 ? [LATENT_SEEK] : LED).map(({ name }) => ({
        phase,
        asked,
        arm: name,
        figures: figuresOf(of(phase, half, name)),
      })),
    ),
  )
  printTable(
    'Forgetting: days of the first half of the families, of the second, of the first again; each with its night',
    ['days', 'asked', 'arm', ...FIGURE_HEADER],
    rows.map(({ phase, asked, arm, figures }) => [phase, asked, arm, ...figureCells(figures)]),
  )
  const targets = LED.flatMap(({ name }) =>
    [2, 3].flatMap((phase) =>
      (['accuracy', 'firstPass'] as const).map((measure) => {
        const difference = differenceOf(of(phase, 0, name), of(1, 0, name), measure)
        return {
          name: `${name}: ${measure} on the first half, day ${phase} against day 1`,
          aim: '>= 0',
          measured: show(difference),
          met: reaches(difference),
        }
      }),
    ),
  )
  printTargets(targets)
  return { forgetting: rows, nights, targets }
}
