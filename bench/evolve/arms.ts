/** @file Arms of the comparison: ways of answering, each with learning off. */

import type { SolveDefaults } from '#engine'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { type Ask, solveAll } from '../quality/measure.ts'
import { type Tally, tallyOf } from './tally.ts'
import type { Replaced, World } from './world.ts'

export interface Arm {
  readonly name: string
  readonly ask: Ask
  readonly defaults?: Partial<SolveDefaults>
  /** Parts of the solver that replace those of the world. */
  readonly deps?: Replaced
}

export const GREEDY: Arm = { name: 'greedy', ask: { strategy: 'greedy' } }
export const LATENT_SEEK: Arm = { name: 'LatentSeek', ask: { strategy: 'latentseek' } }

/** Arms that use the results of days and nights; the model profile decides how they draft. */
export const MEMORY: Arm = { name: 'memory only', ask: { strategy: 'auto', weaver: false } }
export const WEAVER: Arm = { name: 'weaver only', ask: { strategy: 'auto', retrieval: false } }
export const BOTH: Arm = { name: 'both', ask: { strategy: 'auto' } }

export function withDraft(arm: Arm, draft: SolveDefaults['draft']): Arm {
  return { ...arm, name: `${arm.name}, ${draft} draft`, defaults: { ...arm.defaults, draft } }
}

export async function measureArm(world: World, arm: Arm, problems: readonly Problem[]): Promise<Tally[]> {
  const solved = await solveAll(world.solver(arm.defaults, arm.deps), problems, {
    ...arm.ask,
    explain: false,
  })
  return solved.map(tallyOf)
}

/**
 * Milliseconds of one request at a time, by arm. The arms take turns, so that all of them see the same
 * machine load, and each problem is asked once, so that every request pays its prefill.
 */
export async function measurePace(
  world: World,
  arms: readonly Arm[],
  problems: readonly Problem[],
): Promise<ReadonlyMap<string, readonly number[]>> {
  const solvers = arms.map((arm) => world.solver(arm.defaults))
  const times = new Map(arms.map(({ name }) => [name, [] as number[]]))
  const { signal } = new AbortController()
  for (const [index, { question }] of problems.entries()) {
    const turn = index % arms.length
    const { name, ask } = arms[turn]!
    const started = performance.now()
    await solvers[turn]!.solve(
      { tenantId: 'bench', question, learn: false, explain: false, seed: index, ...ask },
      { signal },
    )
    times.get(name)!.push(performance.now() - started)
  }
  return times
}
