/** @file How nights train and judge the latent reward model. */

import { gateRewardModel, type RewardModelOptions, trainRewardModel } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { GraphRunner, LatentThought } from '#ports'
import { openRewardModelArtifact } from '#serving'
import type {
  ArtifactBytes,
  ArtifactTraining,
  HeldOutAnswer,
  Trained,
  TrainingContext,
  TrialOptions,
  TrialVerdict,
} from './artifact-training.ts'
import { finiteMetrics } from './finite-metrics.ts'
import { readRewardModelExamples } from './reward-model-examples.ts'

export function createRewardModelTraining(options: Partial<RewardModelOptions>): ArtifactTraining {
  return {
    material: 'thoughts',
    train: (context, episodes) => train(context, episodes, options),
    open: (runner, { artifact, bytes }) => openRewardModelArtifact(runner, artifact, bytes),
    judge,
  }
}

async function train(
  context: TrainingContext,
  episodes: readonly EpisodeKey[],
  overrides: Partial<RewardModelOptions>,
): Promise<Trained | { readonly skipped: string }> {
  const { training, fingerprint, runner, signal, seed, report } = context
  const answers = await readRewardModelExamples(training, fingerprint, episodes, { signal })
  const run = { seed, signal, onProgress: report }
  const result = await trainRewardModel(runner, answers.examples, run, overrides)
  if ('skipped' in result) return result
  const { model, features, options, metrics, heldOut } = result.trained
  return {
    bytes: model,
    manifest: { features, options, episodes: answers.episodes },
    metrics: finiteMetrics(metrics),
    heldOut: heldOut.flatMap((index) => answers.places[index] ?? []),
    losses: {},
    rejected: { notRead: episodes.length - answers.episodes.length },
  }
}

async function judge({ candidate, incumbent, ...context }: TrialOptions): Promise<TrialVerdict> {
  const { examples } = await readHeldOut(context)
  const thoughts = examples.map(({ thought }) => thought)
  const scores = await scoresOf(context.runner, candidate, thoughts)
  const answers = examples.map(({ question, correct }, index) => ({
    question,
    correct,
    score: scores[index] ?? Number.NaN,
  }))
  const verdict = gateRewardModel({
    answers,
    active: incumbent === null ? null : await scoresOf(context.runner, incumbent, thoughts),
    seed: context.seed,
  })
  return {
    promoted: verdict.promoted,
    reason: verdict.reason,
    metrics: { ...candidate.artifact.metrics, ...finiteMetrics(verdict.metrics) },
    baseline: finiteMetrics(verdict.baseline),
  }
}

/** Labels may have changed since training, and answers been deleted: it is judged by what is known now. */
async function readHeldOut({
  training,
  fingerprint,
  heldOut,
  signal,
}: Pick<TrialOptions, 'training' | 'fingerprint' | 'heldOut' | 'signal'>) {
  const episodes = new Map<string, EpisodeKey>()
  for (const { tenantId, episodeId } of heldOut)
    episodes.set(`${tenantId} ${episodeId}`, { tenantId, episodeId })
  const answers = await readRewardModelExamples(training, fingerprint, [...episodes.values()], { signal })
  const wanted = new Set(heldOut.map(nameOf))
  return { examples: answers.examples.filter((_, index) => wanted.has(nameOf(answers.places[index]))) }
}

function nameOf(place: HeldOutAnswer | undefined): string {
  return place === undefined ? '' : `${place.tenantId} ${place.episodeId} ${place.position}`
}

async function scoresOf(
  runner: GraphRunner,
  { artifact, bytes }: ArtifactBytes,
  thoughts: readonly LatentThought[],
): Promise<readonly number[]> {
  const model = await openRewardModelArtifact(runner, artifact, bytes)
  try {
    return await model.score(thoughts)
  } finally {
    await model.close()
  }
}
