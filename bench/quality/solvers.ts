/** @file Solvers of the quality bench: the product's own, with another profile, another reward or a control strategy. */

import type { Engine, SolveDefaults } from '#engine'
import type { EpisodeStore } from '#episodes'
import type { ActiveModels } from '#serving'
import { createSolver, type Solver, type SolverDeps } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { createConstantJudge, createPerfectJudge, createRandomJudge } from './control-judges.ts'
import { bestOfSamples, gaussianKick } from './control-strategies.ts'

const logger = { warn: (details: object, message: string) => console.warn(message, details) }

export interface Variants {
  /** As served. */
  readonly plain: Solver
  /** With `changes` to the profile's defaults. */
  tuned(changes: Partial<SolveDefaults>): Solver
  /** Knows the answers: an upper bound, never a product claim. */
  readonly perfect: Solver
  /** Reward -1 whatever the answer, `steps` updates. */
  constant(steps: number): Solver
  readonly random: Solver
  /** `majority` is best-of-N by the same reward. */
  readonly bestOf: Solver
  /** `latentseek` is one Gaussian kick. */
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

/** As served once a night has taught it something. */
export function createSelector(engine: Engine, learned: ActiveModels): Solver {
  return createSolver({ engine, episodes: null, logger, activeModels: () => learned })
}

export function withDefaults(engine: Engine, changes: Partial<SolveDefaults>): Engine {
  const { model } = engine
  const defaults = { ...model.profile.defaults, ...changes }
  return { ...engine, model: { ...model, profile: { ...model.profile, defaults } } }
}
