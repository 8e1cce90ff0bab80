/** @file Training and judging of the latent reward model. */

import {
  type GateAnswer,
  gateRewardModel,
  measureChoice,
  type RewardModelOptions,
  trainRewardModel,
} from '#algorithms'
import type { EpisodeKey, Metrics } from '#artifacts'
import type { GraphRunner, LatentThought } from '#ports'
import { openRewardModelArtifact } from '#serving'
import {
  type ArtifactBytes,
  type ArtifactTraining,
  finiteMetrics,
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

async function judge({
  candidate,
  incumbent,
  anchor,
  heldOut,
  locked,
  ...context
}: TrialOptions): Promise<TrialVerdict> {
  const { answers, thoughts } = await readAnswers(context, heldOut)
  const scored = async (version: ArtifactBytes | null) =>
    version === null ? null : await scoresOf(context.runner, version, thoughts)
  const verdict = gateRewardModel({
    answers: withScores(answers, await scoresOf(context.runner, candidate, thoughts)),
    active: await scored(incumbent),
    anchor: await scored(anchor),
    replacesStale: incumbent?.artifact.stale ?? false,
    seed: context.seed,
  })
  const { metrics, ...decided } = toTrialVerdict(candidate, verdict)
  return { ...decided, metrics: { ...metrics, ...(await lockedFigures(context, candidate, locked)) } }
}

type ReadContext = Pick<TrialOptions, 'training' | 'fingerprint' | 'runner' | 'signal' | 'seed'>

/** Figures on the locked questions, which no gate reads: they show whether the gate has been fooled. */
async function lockedFigures(
  context: ReadContext,
  candidate: ArtifactBytes,
  locked: readonly HeldOutAnswer[],
): Promise<Metrics> {
  const { answers, thoughts } = await readAnswers(context, locked)
  if (answers.length === 0) return {}
  const scores = await scoresOf(context.runner, candidate, thoughts)
  const figures = finiteMetrics(measureChoice(withScores(answers, scores)))
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [`locked.${name}`, figure]))
}

type UnscoredAnswer = Omit<GateAnswer, 'score'>

function withScores(answers: readonly UnscoredAnswer[], scores: readonly number[]): readonly GateAnswer[] {
  return answers.map((answer, index) => ({ ...answer, score: scores[index] ?? Number.NaN }))
}

/**
 * Reads answers again: since training, labels may have changed, and answers may have been deleted. Leaves out
 * answers that only the model itself has labelled.
 */
async function readAnswers(
  { training, fingerprint, signal }: ReadContext,
  wanted: readonly HeldOutAnswer[],
): Promise<{ readonly answers: readonly UnscoredAnswer[]; readonly thoughts: readonly LatentThought[] }> {
  const clusters = new Map(wanted.map((place) => [nameOf(place), place.cluster]))
  const episodes = new Map(
    wanted.map(({ tenantId, episodeId }) => [`${tenantId} ${episodeId}`, { tenantId, episodeId }]),
  )
  const read = await readRewardModelExamples(training, fingerprint, [...episodes.values()], { signal })
  const answers: UnscoredAnswer[] = []
  const thoughts: LatentThought[] = []
  for (const [index, { question, correct, source, thought }] of read.examples.entries()) {
    const [place, judged] = [read.places[index], read.judged[index]]
    if (place === undefined || judged === undefined) continue
    if (source === 'self' || !clusters.has(nameOf(place))) continue
    const { tenantId, episodeId } = place
    const byMajority = source === 'majority'
    const cluster = clusters.get(nameOf(place)) ?? question
    answers.push({ question, cluster, tenantId, episodeId, correct, byMajority, ...judged })
    thoughts.push(thought)
  }
  return { answers, thoughts }
}

function nameOf({ tenantId, episodeId, position }: HeldOutAnswer): string {
  return `${tenantId} ${episodeId} ${position}`
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
