/** @file A memory that starts empty, the weavers that its nights train, and solvers that use both. */

import { unpackLatents } from '#algorithms'
import { createArtifactStore } from '#artifacts'
import type { Engine, SolveDefaults } from '#engine'
import type { EpisodeStore } from '#episodes'
import { concurrently } from '#evaluation'
import { watchActiveArtifacts } from '#serving'
import { createSolver, type Solver, type SolverDeps } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { type Ask, type Solved, solveAll } from '../quality/measure.ts'
import { withDefaults } from '../quality/solvers.ts'
import type { Workbench } from '../quality/workbench.ts'
import { holdNight, type Night } from './night.ts'

/** Parts of a solver that a control replaces. */
export type Replaced = Partial<Pick<SolverDeps, 'episodes' | 'activeModels'>>

/** Shift z* - z_base of an episode, row-major `[S, D]`. */
export type StoredShift = Float32Array

export interface World extends AsyncDisposable {
  readonly engine: Engine
  readonly episodes: EpisodeStore
  /** Solver with the active versions of now and `changes` to the profile's defaults. */
  solver(changes?: Partial<SolveDefaults>, replaced?: Replaced): Solver
  /** Returns the shifts of all episodes that may steer others, the oldest first. */
  shifts(): Promise<readonly StoredShift[]>
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
  const solver: World['solver'] = (more = {}, replaced = {}) =>
    createSolver({
      engine: withDefaults(engine, more),
      episodes,
      logger,
      activeModels: watcher.current,
      ...replaced,
    })
  const index: World['index'] = async (ids) => {
    const kept = ids.filter((id) => id !== null)
    await concurrently(kept, 4, (id) => episodes.index('bench', id))
  }
  return {
    engine,
    episodes,
    solver,
    index,
    shifts: () => storedShifts(bench),
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

async function storedShifts({ database }: Workbench): Promise<StoredShift[]> {
  const { rows } = await database.pool.query<{
    length: number
    width: number
    z_base: Buffer
    z_star: Buffer
  }>(
    `select length, width, z_base, z_star
     from episode_latents join episodes on episodes.id = episode_id and episodes.tenant_id = episode_latents.tenant_id
     where steers order by created_at`,
  )
  return rows.map(({ length, width, z_base, z_star }) => {
    const read = (bytes: Buffer) => unpackLatents({ bytes, rows: length, width }).data
    const base = read(z_base)
    return read(z_star).map((value, index) => value - base[index]!)
  })
}
