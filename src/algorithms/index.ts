export { deriveSeed } from './derive-seed.ts'
export {
  chooseForks,
  type Fork,
  MAX_POSITIONS,
  type Places,
  rankPositions,
} from './entropy-forks/choose-forks.ts'
export { agreementOf, judgeFeatures } from './fused-judge/features.ts'
export {
  besideRewardModel,
  decodeJudge,
  isFittedWith,
  NO_REWARD_MODEL,
  openFusedJudge,
} from './fused-judge/fused-judge.ts'
export { gateJudge, measureJudge } from './fused-judge/gate-judge.ts'
export {
  comparePolicies,
  measureArms,
  measureJudgePolicy,
  type PolicyAnswer,
} from './fused-judge/judge-policy.ts'
export { type JudgeExample, type TrainedJudge, trainJudge } from './fused-judge/train-judge.ts'
export { gateWeaver, type TrialQuestion } from './latent-evolve/gate-weaver.ts'
export { identityWeaver, type OpenWeaver, openWeaver } from './latent-evolve/open-weaver.ts'
export { queryEmbedding } from './latent-evolve/query-embedding.ts'
export {
  reasonToSkipWeaver,
  type TrainedWeaver,
  trainWeaver,
  type WeaverOptions,
} from './latent-evolve/train-weaver.ts'
export {
  agreeingPositions,
  type EpisodeTokens,
  type Momentum,
  transferMomentum,
  type WeighedNeighbour,
  weighNeighbours,
} from './latent-evolve/transfer.ts'
export type { WeaverExample } from './latent-evolve/weaver-examples.ts'
export { type AnswerMemo, createAnswerMemo } from './latent-seek/answer-memo.ts'
export { MAX_UPDATE_LENGTH, untilEos, updateLength } from './latent-seek/prefix.ts'
export {
  type Direction,
  higherReward,
  type SearchPoint,
  type SeekOptions,
  type SeekStop,
  type SeekTask,
  type SeekUpdate,
  seekLatents,
} from './latent-seek/seek-latents.ts'
export { widenMargin } from './latent-seek/widen-margin.ts'
export {
  dropLatents,
  fitFloat16,
  joinLatents,
  latentsAt,
  packStates,
  takeLatents,
  unpackLatents,
  unpackThought,
} from './latents.ts'
export { bestOfN } from './lto/best-of-n.ts'
export { coeComplex, coeReal } from './lto/chain-of-embedding.ts'
export { withinQuestionAuc } from './lto/choice-metrics.ts'
export { chooseByReward, ltoDistribution } from './lto/choose-by-reward.ts'
export { type GateAnswer, measureChoice } from './lto/compare-questions.ts'
export type { FormName } from './lto/forms/reward-form.ts'
export { formNamed } from './lto/forms/reward-forms.ts'
export { gateRewardModel } from './lto/gate-reward-model.ts'
export { likelyVote, majorityVote, weightedMajority } from './lto/majority.ts'
export { accuracy, auc, aucOf, ece, f1, pairedAucDifference, type ScoredAnswer } from './lto/metrics.ts'
export {
  type OpenRewardModel,
  openRewardModel,
  type RewardModelIdentity,
  tokenMapsOf,
} from './lto/open-reward-model.ts'
export type {
  DescribedThought,
  LabelKind,
  LabelledThought,
  TrainedRewardModel,
} from './lto/reward-model-types.ts'
export { assignAnswers, type RewardModelOptions, trainRewardModel } from './lto/train-reward-model.ts'
export { chooseByEffort, type PolicyChoice } from './policy/choose-by-effort.ts'
export {
  bandOf,
  choosePolicy,
  crossValidatePolicy,
  follow,
  type MeasuredQuestion,
  STOP,
} from './policy/choose-policy.ts'
export {
  hasRounds,
  isSettled,
  ordersOf,
  playRounds,
  roundsOf,
  VOTES_OF_AUTO,
  votesFor,
} from './policy/rounds.ts'
export { createFormatTerm, type FormatRule } from './rewards/format.ts'
export {
  type Answer,
  compareStandings,
  type Evaluation,
  hasPassed,
  isAdmitted,
  isBetter,
  type Judge,
  type Judgement,
  ofHighestStanding,
  type Standing,
  underProfile,
  worthOf,
} from './rewards/judgement.ts'
export { createLogitVerdicts, type VerdictTokens } from './rewards/logit-verdicts.ts'
export { readScore, readVerdictWord } from './rewards/read-verdict.ts'
export { createRewardJudge, type RewardTerm } from './rewards/reward-judge.ts'
export { type AskJudge, createVerifier, type VerdictCriterion } from './rewards/verifier.ts'
export { createWrittenVerdicts } from './rewards/written-verdicts.ts'
export { bootstrapByQuestion } from './training/bootstrap.ts'
export {
  compareOutcomes,
  hasFallen,
  isDecisive,
  isLookDue,
  type LiveComparison,
  type OutcomeStratum,
  wilsonInterval,
} from './training/live-outcomes.ts'
export { MAX_LOOKS } from './training/non-inferiority.ts'
export type { Figure, GateVerdict, Part, SequentialVerdict, Training } from './training/training-result.ts'
export { createYielding } from './training/yielding.ts'
