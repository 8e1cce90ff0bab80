/**
 * @file Controls of memory and nights, after the last night: no memory, nights that train nothing, and neighbours at
 * random. What the trained weaver and the nearest episodes earn beyond them is what training and similarity are worth.
 */

import type { EpisodeStore } from '#episodes'
import type { Latents, Weaver } from '#ports'
import { createRandom, norm } from '#tensor'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { printTable } from '../report/table.ts'
import { type Arm, BOTH, GREEDY, MEMORY, measureArm, WEAVER } from './arms.ts'
import type { Observer } from './lives.ts'
import type { Sizes } from './sizes.ts'
import { FIGURE_HEADER, type Figures, figureCells, figuresOf, type Tally } from './tally.ts'
import type { StoredShift } from './world.ts'

/** Weight of a new shift in the moving average. */
const EMA_RATE = 0.02
/** Number of the latest shifts whose mean is the queue's. */
const FIFO_LENGTH = 64

const NEITHER: Arm = {
  name: 'neither memory nor weaver',
  ask: { strategy: 'auto', retrieval: false, weaver: false },
}

export interface ControlsReport {
  readonly controls: readonly { readonly name: string; readonly figures: Figures }[]
}

interface ControlsObserver extends Observer {
  report(): ControlsReport
}

export function observeControls({ heldOut }: Sizes): ControlsObserver {
  const arms = new Map<string, (readonly Tally[])[]>()
  return {
    async look({ world, seed, isLast }) {
      if (!isLast) return
      const problems = makeProblems({ split: 'heldout', count: heldOut, seed })
      const note = async (arm: Arm) => {
        arms.set(arm.name, [...(arms.get(arm.name) ?? []), await measureArm(world, arm, problems)])
      }
      const shifts = await world.shifts()
      const withWeaver = (name: string, weaver: Weaver): Arm => ({
        ...WEAVER,
        name,
        deps: { activeModels: () => ({ weaver, rewardModel: null }) },
      })
      for (const arm of [GREEDY, NEITHER, MEMORY, WEAVER, BOTH]) await note(arm)
      await note(withWeaver('moving average of shifts', shiftingBy('ema', movingAverage(shifts))))
      await note(
        withWeaver('mean of the latest shifts', shiftingBy('fifo', meanOf(shifts.slice(-FIFO_LENGTH)))),
      )
      await note({
        ...MEMORY,
        name: 'memory only, random neighbours',
        deps: { episodes: shuffled(world.episodes, seed) },
      })
    },
    report() {
      const controls = [...arms].map(([name, bySeed]) => ({ name, figures: figuresOf(bySeed) }))
      printTable(
        'Controls, after the last night',
        ['arm', ...FIGURE_HEADER],
        controls.map(({ name, figures }) => [name, ...figureCells(figures)]),
      )
      return { controls }
    },
  }
}

/** Weaver that adds one shift to the first latents of every question. */
function shiftingBy(version: string, shift: Float64Array): Weaver {
  return {
    version,
    apply: async (rows) =>
      rows.map(({ zBase }): Latents => {
        const data = zBase.data.map((value, index) => value + (shift[index] ?? 0))
        return { ...zBase, data }
      }),
  }
}

function movingAverage(shifts: readonly StoredShift[]): Float64Array {
  const average = new Float64Array(Math.max(0, ...shifts.map(({ length }) => length)))
  for (const shift of shifts) {
    for (const [index, value] of average.entries()) {
      average[index] = value + EMA_RATE * ((shift[index] ?? 0) - value)
    }
  }
  return average
}

function meanOf(shifts: readonly StoredShift[]): Float64Array {
  const sum = new Float64Array(Math.max(0, ...shifts.map(({ length }) => length)))
  for (const shift of shifts)
    for (const [index, value] of shift.entries()) sum[index]! += value / shifts.length
  return sum
}

/** The same store, whose neighbours are those of a random direction, and count as near. */
function shuffled(episodes: EpisodeStore, seed: number): EpisodeStore {
  const random = createRandom(seed)
  return {
    ...episodes,
    async recollect(query, signal) {
      const direction = query.embedding.map(() => random.gaussian())
      const length = norm(direction)
      const embedding = direction.map((value) => value / length)
      const { neighbours } = await episodes.recollect({ ...query, embedding, minSimilarity: -1 }, signal)
      return { neighbours: neighbours.map((neighbour) => ({ ...neighbour, similarity: 1 })), refuted: [] }
    },
  }
}
