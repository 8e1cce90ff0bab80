export { type ActiveModels, NO_TRAINED_MODELS } from './active-models.ts'
export { openLrm } from './open-lrm.ts'
export { openWeaverArtifact } from './open-weaver.ts'
export {
  type ArtifactWatcher,
  type LearnedStatus,
  type WatchOptions,
  watchActiveArtifacts,
} from './watch-active-artifacts.ts'
