export { type ActiveModels, NO_TRAINED_MODELS } from './active-models.ts'
export { openRewardModelArtifact, openWeaverArtifact } from './open-artifact.ts'
export {
  type ArtifactWatcher,
  type LearnedStatus,
  type WatchOptions,
  watchActiveArtifacts,
} from './watch-active-artifacts.ts'
