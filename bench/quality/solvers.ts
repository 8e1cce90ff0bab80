/**
 * @file Solvers of the quality bench: the product's solver with another profile, reward or control strategy.
 */

import type { Engine, SolveDefaults } from '#engine'
import type { EpisodeStore } from '#episodes'
import type { ActiveModels } from '#serving'
import { createSolver, type Solver, type SolverDeps } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { createConstantJudge, createPerfectJudge, createRandomJudge } from './control-judges.ts'
import { bestOfSamples, gaussianKick } from './control-strategies.ts'

const logger = { info() {}, warn: (details: object, message: string) => console.warn(message, details) }

export interface Variants {
  /** The solver as served. */
  readonly plain: Solver
  /** Solver with `changes` to the profile's defaults. */
  tuned(changes: Partial<SolveDefaults>): Solver
  /** Solver whose judge knows the answers: an upper bound, never a product claim. */
  readonly perfect: Solver
  /** Solver whose reward is always -1, with `steps` updates. */
  constant(steps: number): Solver
  /** Solver with a random reward. */
  readonly random: Solver
  /** Solver whose `majority` is best-of-N by the same reward. */
  readonly bestOf: Solver
  /** Solver whose `latentseek` is one Gaussian kick. */
  kick(sigma: number): Solver
}

export function createVariants(
  engine: Engine,
  episodes: EpisodeStore,
  problems: readonly Problem[],
): Variants {
  const answers = new Map(problems.map(({ question, answer }) => [question, answer]))
  const create = (deps: Partial<SolverDeps>) => createSolver({ engine, episodes, logger, ...deps })
  const tuned = (changes: Partial<SolveDefaults>, deps: Partial<SolverDeps> = {}) =>
    create({ engine: withDefaults(engine, changes), ...deps })
  return {
    plain: create({}),
    tuned,
    perfect: create({ judgeFor: ({ question }) => createPerfectJudge(answers.get(question) ?? '') }),
    constant: (steps) =>
      tuned({ maxIterations: steps, patience: steps }, { judgeFor: () => createConstantJudge() }),
    random: create({ judgeFor: ({ seed }) => createRandomJudge(seed ?? 0) }),
    bestOf: create({ strategies: { majority: bestOfSamples } }),
    kick: (sigma) => create({ strategies: { latentseek: gaussianKick(sigma) } }),
  }
}

/** Solver as served with the trained models `learned`, without memory. */
export function createSelector(engine: Engine, learned: ActiveModels): Solver {
  return createSolver({ engine, episodes: null, logger, activeModels: () => learned })
}

export function withDefaults(engine: Engine, changes: Partial<SolveDefaults>): Engine {
  const { model } = engine
  const defaults = { ...model.profile.defaults, ...changes }
  return { ...engine, model: { ...model, profile: { ...model.profile, defaults } } }
}
