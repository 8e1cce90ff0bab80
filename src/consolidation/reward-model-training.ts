/** @file Training and judging of the latent reward model. */

import { gateRewardModel, type RewardModelOptions, trainRewardModel } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { GraphRunner, LatentThought } from '#ports'
import { openRewardModelArtifact } from '#serving'
import {
  type ArtifactBytes,
  type ArtifactTraining,
  type HeldOutAnswer,
  type Trained,
  type TrainingContext,
  type TrialOptions,
  type TrialVerdict,
  toTrained,
  toTrialVerdict,
} from './artifact-training.ts'
import { readRewardModelExamples } from './reward-model-examples.ts'
import type { Skipped } from './steps.ts'

export function createRewardModelTraining(options: Partial<RewardModelOptions>): ArtifactTraining {
  return {
    material: 'thoughts',
    train: (context, episodes) => train(context, episodes, options),
    open: (runner, { artifact, bytes }) => openRewardModelArtifact(runner, artifact, bytes),
    judge,
  }
}

async function train(
  { training, fingerprint, split, runner, signal, seed, report }: TrainingContext,
  episodes: readonly EpisodeKey[],
  overrides: Partial<RewardModelOptions>,
): Promise<Trained | Skipped> {
  const read = await readRewardModelExamples(training, fingerprint, episodes, { split, signal })
  const run = { seed, signal, onProgress: report }
  const result = await trainRewardModel(runner, read.examples, run, overrides)
  if ('skipped' in result) return result
  return {
    ...toTrained(result.trained, {
      episodes: read.episodes,
      heldOut: result.trained.heldOut.flatMap((index) => read.places[index] ?? []),
      locked: result.trained.locked.flatMap((index) => read.places[index] ?? []),
    }),
    losses: {},
    rejected: { notRead: episodes.length - read.read, unused: read.unused },
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
  return toTrialVerdict(candidate, verdict)
}

/**
 * Reads the held-out answers again: since training, labels may have changed, answers may have been deleted.
 */
async function readHeldOut({
  training,
  fingerprint,
  heldOut,
  signal,
}: Pick<TrialOptions, 'training' | 'fingerprint' | 'heldOut' | 'signal'>) {
  const episodes = new Map<string, EpisodeKey>()
  for (const { tenantId, episodeId } of heldOut)
    episodes.set(`${tenantId} ${episodeId}`, { tenantId, episodeId })
  const { examples, places } = await readRewardModelExamples(training, fingerprint, [...episodes.values()], {
    signal,
  })
  const wanted = new Set(heldOut.map(nameOf))
  return { examples: examples.filter((_, index) => wanted.has(nameOf(places[index]))) }
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
