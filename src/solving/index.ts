export type { Outcome, SolveContext, StrategyFunction } from './context.ts'
export type * from './contract.ts'
export { STRATEGIES } from './contract.ts'

export { createSolver, type SolverDeps } from './solver.ts'
