/** @file Days and nights of one memory per seed, with observers called after each night. */

import { makeProblems } from '../../models/order-of-operations/problems.ts'
import type { Workbench } from '../quality/workbench.ts'
import { progress } from '../report/progress.ts'
import type { Night } from './night.ts'
import type { Sizes } from './sizes.ts'
import { type Tally, tallyOf } from './tally.ts'
import { freshWorld, type World } from './world.ts'

/** State of a memory after its nth night; day 0 is the empty memory. */
interface Morning {
  readonly world: World
  readonly seed: number
  readonly day: number
  readonly isLast: boolean
  /** Tallies of the day before, solved with the memory and weaver of that day and learned from. */
  readonly yesterday: readonly Tally[]
  readonly night: Night | null
}

export interface Observer {
  look(morning: Morning): Promise<void>
  /** Prints the report. @returns the report, for the records */
  report(): object
}

/** Runs days and nights once for each seed, each with problems of its own, and calls the observers. */
export async function liveThrough(
  bench: Workbench,
  seeds: readonly number[],
  { days, perDay }: Sizes,
  observers: readonly Observer[],
): Promise<void> {
  for (const seed of seeds) {
    const stream = makeProblems({ split: 'train', count: days * perDay, seed })
    await using world = await freshWorld(bench)
    const show = async (day: number, yesterday: readonly Tally[], night: Night | null) => {
      const morning = { world, seed, day, isLast: day === days, yesterday, night }
      for (const observer of observers) await observer.look(morning)
      progress(`seed ${seed}, day ${day} of ${days}`)
    }
    await show(0, [], null)
    for (let day = 1; day <= days; day++) {
      const solved = await world.live(stream.slice((day - 1) * perDay, day * perDay))
      await show(day, solved.map(tallyOf), await world.sleep())
    }
  }
}
