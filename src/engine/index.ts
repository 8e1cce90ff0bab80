export type { Criterion, ModelProfile, SolveDefaults } from './profile.ts'
export type * from './types.ts'
