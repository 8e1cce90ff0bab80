/** @file Memories that live through days and nights, and what looks at them in between. */

import { makeProblems } from '../../models/order-of-operations/problems.ts'
import type { Workbench } from '../quality/workbench.ts'
import { progress } from '../report/progress.ts'
import type { Night } from './night.ts'
import type { Sizes } from './sizes.ts'
import { type Tally, tallyOf } from './tally.ts'
import { freshWorld, type World } from './world.ts'

/** A memory on the morning after its nth night; day 0 is before anything was remembered. */
interface Morning {
  readonly world: World
  readonly seed: number
  readonly day: number
  readonly isLast: boolean
  /** The day before as it went: its problems were solved with what was known by then, and learned from. */
  readonly yesterday: readonly Tally[]
  readonly night: Night | null
}

export interface Observer {
  look(morning: Morning): Promise<void>
  /** Prints what was seen. @returns it, for the record */
  report(): object
}

/** One life for each seed, with days of its own. */
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
