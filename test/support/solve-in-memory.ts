/** @file A solver on the linear model, and the two lines every test of it needs. */

import { createSolver, type Solution, type SolveEvent, type SolveRequest, type SolverDeps } from '#solving'
import { createLinearModel, type Route, type World } from './linear-model.ts'

export function route(answer: string, p: number, rest = `: 6 + 4 ; ans ${answer}`): Route {
  return { rest, verdicts: { check: p } }
}

/** The draft says 'a' (wrong, and doubted); 'b' is next and no better; 'c' is right. */
export const TWO_FLIPS: World = {
  routes: { a: route('1', 0.1), b: route('2', 0.2), c: route('3', 0.97), d: route('4', 0.05) },
  firstLogits: { a: 3, b: 2, c: 1.4, d: -2 },
}

/** The draft is right. */
export const GOOD_DRAFT: World = { routes: { a: route('1', 0.95) }, firstLogits: { a: 3 } }

export interface SolverOptions extends Partial<Omit<SolverDeps, 'engine' | 'logger'>> {
  readonly onEvent?: (event: SolveEvent) => void
  readonly signal?: AbortSignal
}

export function solverOn(world: World, { onEvent, signal, ...deps }: SolverOptions = {}) {
  const engine = createLinearModel(world)
  const warnings: string[] = []
  const events: SolveEvent[] = []
  const logger = { info() {}, warn: (_details: object, message: string) => void warnings.push(message) }
  const solver = createSolver({ episodes: null, ...deps, engine, logger })
  const solve = (request: Partial<SolveRequest> = {}): Promise<Solution> =>
    solver.solve(
      { ...REQUEST, ...request },
      {
        signal: signal ?? new AbortController().signal,
        onEvent(event) {
          events.push(event)
          onEvent?.(event)
        },
      },
    )
  return { engine, solver, solve, events, warnings }
}

export const REQUEST: SolveRequest = {
  tenantId: 'default',
  question: '6 + 4 = ?',
  strategy: 'latentseek',
  learn: true,
  explain: false,
  seed: 1,
}
