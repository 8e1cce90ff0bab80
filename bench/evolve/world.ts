/** @file A memory that starts empty, what nights make of it, and solvers that have both. */

import { createArtifactStore } from '#artifacts'
import type { Engine, SolveDefaults } from '#engine'
import { watchActiveArtifacts } from '#serving'
import { createSolver, type Solver } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { concurrently } from '../concurrently.ts'
import { type Ask, type Solved, solveAll } from '../quality/measure.ts'
import { withDefaults } from '../quality/solvers.ts'
import type { Workbench } from '../quality/workbench.ts'
import { holdNight, type Night } from './night.ts'

export interface World extends AsyncDisposable {
  readonly engine: Engine
  /** As served now, with `changes` to the profile's defaults. */
  solver(changes?: Partial<SolveDefaults>): Solver
  /** A day: problems are solved without their answers, remembered, and labelled by what the model thinks of itself. */
  live(problems: readonly Problem[], ask?: Partial<Ask>): Promise<readonly Solved[]>
  /** A night: a weaver is trained on what is remembered, and serves from here on if the gate lets it. */
  sleep(): Promise<Night>
  /** Marks episodes as ready to be learned from. */
  index(ids: readonly (string | null)[]): Promise<void>
}

/** Nobody else trains here: what serves changes after a night, and is looked for then. */
const NEVER = 2 ** 31 - 1

/** Everything that was remembered or learned before is gone. `changes` hold for its days, its nights and its solvers. */
export async function freshWorld(bench: Workbench, changes: Partial<SolveDefaults> = {}): Promise<World> {
  await bench.database.pool.query('truncate episodes, outbox, consolidations, artifacts cascade')
  const engine = withDefaults(bench.engine, changes)
  const { episodes, logger } = bench
  const artifacts = createArtifactStore({ database: bench.database })
  const watcher = watchActiveArtifacts({ artifacts, engine, logger, pollMs: NEVER })
  const solver: World['solver'] = (more = {}) =>
    createSolver({ engine: withDefaults(engine, more), episodes, logger, activeModels: watcher.current })
  const index: World['index'] = async (ids) => {
    const kept = ids.filter((id) => id !== null)
    await concurrently(kept, 4, (id) => episodes.index('bench', id))
  }
  return {
    engine,
    solver,
    index,
    async live(problems, ask = {}) {
      const solved = await solveAll(solver(), problems, {
        ...{ strategy: 'auto', learn: true, explain: false },
        ...ask,
      })
      await index(solved.map(({ solution }) => solution.episodeId))
      return solved
    },
    async sleep() {
      const night = await holdNight({ ...bench, engine })
      await watcher.refresh()
      return night
    },
    [Symbol.asyncDispose]: watcher.close,
  }
}
