/** @file A memory that starts empty, the weavers that its nights train, and solvers that use both. */

import { createArtifactStore } from '#artifacts'
import type { Engine, SolveDefaults } from '#engine'
import { concurrently } from '#evaluation'
import { watchActiveArtifacts } from '#serving'
import { createSolver, type Solver } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { type Ask, type Solved, solveAll } from '../quality/measure.ts'
import { withDefaults } from '../quality/solvers.ts'
import type { Workbench } from '../quality/workbench.ts'
import { holdNight, type Night } from './night.ts'

export interface World extends AsyncDisposable {
  readonly engine: Engine
  /** Solver with the active versions of now and `changes` to the profile's defaults. */
  solver(changes?: Partial<SolveDefaults>): Solver
  /**
   * Lives a day: solves problems without their answers and stores them as episodes labelled by self-reward.
   */
  live(problems: readonly Problem[], ask?: Partial<Ask>): Promise<readonly Solved[]>
  /** Holds a night: trains a weaver on the episodes, active from then on if the gate promotes it. */
  sleep(): Promise<Night>
  /** Labels and indexes episodes, so that nights can train on them. */
  index(ids: readonly (string | null)[]): Promise<void>
}

/**
 * Poll interval that never elapses: active versions change only after a night, which refreshes them itself.
 */
const NEVER = 2 ** 31 - 1

/** Deletes all episodes and artifacts. `changes` apply to the new world's days, nights and solvers. */
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
        strategy: 'auto',
        learn: true,
        explain: false,
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
