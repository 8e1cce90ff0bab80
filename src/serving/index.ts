export { type ActiveModels, NO_TRAINED_MODELS } from './active-models.ts'
export {
  openJudgeArtifact,
  openRewardModelArtifact,
  openWeaverArtifact,
  rewardModelForm,
  rewardModelSizes,
} from './open-artifact.ts'
export {
  type ActiveVersionStatus,
  type ArtifactWatcher,
  type WatchOptions,
  watchActiveArtifacts,
} from './watch-active-artifacts.ts'
