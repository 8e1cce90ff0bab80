export { type ActiveModels, NOTHING_LEARNED } from './active-models.ts'
export { openLrm } from './open-lrm.ts'
export { openWeaverArtifact } from './open-weaver.ts'
export { type ReplayDeps, type ReplayOptions, type ReplayQuestion, replay } from './replay.ts'
export { createSolver, type SolverDeps } from './solver.ts'
export { bestOfSamples, chosenSample, gaussianKick } from './strategies/controls.ts'
export type * from './types.ts'
export { STRATEGIES } from './types.ts'
export {
  type ArtifactWatcher,
  type LearnedStatus,
  type WatchOptions,
  watchArtifacts,
} from './watch-artifacts.ts'
