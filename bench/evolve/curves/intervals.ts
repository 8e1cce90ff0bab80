/** @file Curve over T, the number of problems between two nights, at a fixed total of problems. */

import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import type { Workbench } from '../../quality/workbench.ts'
import { BOTH, measureArm, WEAVER } from '../arms.ts'
import type { CurveSizes } from '../sizes.ts'
import { figuresOf, tallyOf } from '../tally.ts'
import { freshWorld } from '../world.ts'
import type { Curve, Point } from './curve.ts'

/** Days use the weaver without memory, because memory between nights would hide the effect of the nights. */
export async function measureIntervals(bench: Workbench, seed: number, sizes: CurveSizes): Promise<Curve> {
  const { intervals, nightly, heldOut: count } = sizes
  const stream = makeProblems({ split: 'train', count: nightly, seed })
  const heldOut = makeProblems({ split: 'heldout', count, seed })
  const points: Point[] = []
  for (const interval of intervals) {
    await using world = await freshWorld(bench)
    const lived = []
    const nights = []
    for (let first = 0; first < nightly; first += interval) {
      const solved = await world.live(stream.slice(first, first + interval), { retrieval: false })
      lived.push(...solved.map(tallyOf))
      nights.push(await world.sleep())
    }
    const more = {
      nights: nights.length,
      promoted: nights.filter(({ status }) => status === 'promoted').length,
      'night seconds in all': nights.reduce((sum, { seconds }) => sum + seconds, 0),
    }
    points.push({ at: interval, arm: 'the days themselves, weaver only', figures: figuresOf([lived]), more })
    for (const arm of [WEAVER, BOTH]) {
      const figures = figuresOf([await measureArm(world, arm, heldOut)])
      points.push({ at: interval, arm: `held out, ${arm.name}`, figures })
    }
  }
  return {
    title: `Night after every T of ${nightly} problems`,
    over: 'T',
    points,
  }
}
