export { type ActiveModels, NOTHING_LEARNED } from './active-models.ts'
export { openLrm } from './open-lrm.ts'
export { openWeaverArtifact } from './open-weaver.ts'
export {
  type ArtifactWatcher,
  type LearnedStatus,
  type WatchOptions,
  watchArtifacts,
} from './watch-artifacts.ts'
