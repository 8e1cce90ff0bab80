export { createEngine, type EngineOptions } from './engine.ts'
export { loadModelDirectory, type ModelDirectory } from './model-directory.ts'
export type { Criterion, ModelProfile, SolveDefaults } from './profile.ts'
export type * from './types.ts'
