export { createSolver, type SolverDeps } from './solver.ts'
export { bestOfSamples, gaussianKick } from './strategies/controls.ts'
export type * from './types.ts'
export { STRATEGIES } from './types.ts'
