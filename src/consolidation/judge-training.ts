/** @file Training and judging of the fused judge. It has a dozen weights, so that it is fitted here, not in the training process. */

import { type GateAnswer, gateJudge, measureJudge, openFusedJudge, trainJudge } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { Engine } from '#engine'
import { openRewardModelArtifact, rewardModelSizes } from '#serving'
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
import { episodesOf, type JudgeAnswer, readJudgeAnswers, scoreStored } from './judge-examples.ts'
import { openModelEngine } from './open-replay-engine.ts'
import { nameOf } from './split-night.ts'
import type { Skipped } from './steps.ts'

export const JUDGE_TRAINING: ArtifactTraining = {
  material: 'thoughts',
  train,
  open: async (_runner, { artifact, bytes }) => {
    openFusedJudge(artifact.version, bytes)
    return { close: async () => {} }
  },
  judge,
}

interface Context
  extends Pick<
    TrainingContext,
    'training' | 'fingerprint' | 'runner' | 'signal' | 'openReplayEngine' | 'logger'
  > {
  /** Active latent reward model; null for none. */
  readonly known: ArtifactBytes | null
}

/**
 * Fits a judge on the answers that the active latent reward model was not trained on: without one, those of the parts `train` and
 * `calibration`.
 */
async function train(
  { split, rewardModel, ...context }: TrainingContext,
  episodes: Parameters<ArtifactTraining['train']>[1],
): Promise<Trained | Skipped> {
  const known = await rewardModel()
  const fresh = episodes.filter((key) => !known?.trainedOn.has(nameOf(key)))
  const answers = await read({ ...context, known }, fresh, split.placeOf)
  const result = trainJudge(answers)
  if ('skipped' in result) return result
  const { weights, ...trained } = result.trained
  const placesOf = (indices: readonly number[]) => indices.flatMap((index) => answers[index]?.place ?? [])
  const fitted = answers.filter(
    ({ part, source }) => source !== 'self' && (part === 'train' || part === 'calibration'),
  )
  const options = { ...trained.options, rewardModel: known?.artifact.version ?? null, weights }
  return {
    ...toTrained(
      { ...trained, options, metrics: {} },
      {
        episodes: episodesOf(fitted.map(({ place }) => place)),
        heldOut: placesOf(trained.heldOut),
        locked: placesOf(trained.locked),
      },
    ),
    losses: {},
    weights,
    rejected: { knownToRewardModel: episodes.length - fresh.length },
  }
}

async function judge({
  candidate,
  incumbent,
  anchor,
  heldOut,
  locked,
  seed,
  rewardModel,
  ...context
}: TrialOptions): Promise<TrialVerdict> {
  const known = await rewardModel()
  const answersAt = (places: readonly HeldOutAnswer[]) => readPlaces({ ...context, known }, places)
  const answers = await answersAt(heldOut)
  const scoresOf = ({ artifact, bytes }: ArtifactBytes, of = answers) =>
    openFusedJudge(artifact.version, bytes).score(of.map((one) => one.known))
  const rivalOf = async (version: ArtifactBytes) => {
    const scores = await scoresOf(version)
    return { order: scores, probability: scores }
  }
  const verdict = gateJudge({
    answers: withScores(answers, await scoresOf(candidate)),
    active:
      incumbent === null
        ? {
            order: answers.map(({ byHand }) => byHand.reward),
            probability: answers.map(({ byHand }) => byHand.probability),
          }
        : await rivalOf(incumbent),
    hasActive: incumbent !== null,
    anchor: anchor === null ? null : await rivalOf(anchor),
    replacesStale: incumbent?.artifact.stale ?? false,
    seed,
  })
  const { metrics, ...decided } = toTrialVerdict(candidate, verdict)
  const lockedAnswers = await answersAt(locked)
  const lockedScores = await scoresOf(candidate, lockedAnswers)
  const figures =
    lockedAnswers.length === 0
      ? []
      : Object.entries(finiteMetrics(measureJudge(withScores(lockedAnswers, lockedScores), seed)))
  return {
    ...decided,
    metrics: { ...metrics, ...Object.fromEntries(figures.map(([name, one]) => [`locked.${name}`, one])) },
  }
}

/** Reads the answers of a trial again: since training, labels may have changed, and answers may have been deleted. */
async function readPlaces(
  context: Context,
  places: readonly HeldOutAnswer[],
): Promise<readonly JudgeAnswer[]> {
  const clusters = new Map(places.map((place) => [placeName(place), place.cluster]))
  const placeOf = (_: unknown, question: string) => ({ part: 'heldOut' as const, cluster: question })
  const answers = await read(context, episodesOf(places), placeOf)
  return answers.flatMap((one) => {
    const name = placeName(one.place)
    if (one.source === 'self' || !clusters.has(name)) return []
    const cluster = clusters.get(name) ?? one.answer.question
    return [{ ...one, answer: { ...one.answer, cluster } }]
  })
}

async function read(
  { known, runner, openReplayEngine, logger, ...context }: Context,
  episodes: readonly EpisodeKey[],
  placeOf: Parameters<typeof readJudgeAnswers>[0]['placeOf'],
): Promise<readonly JudgeAnswer[]> {
  const { signal, fingerprint } = context
  if (known === null) return readJudgeAnswers({ ...context, placeOf, confidencesOf: null }, episodes)
  await using parts = new AsyncDisposableStack()
  const rewardModel = await openRewardModelArtifact(runner, known.artifact, known.bytes)
  parts.defer(() => rewardModel.close())
  let engine: Engine | null = null
  if (rewardModel.tokenMaps !== undefined) {
    const opened = await openModelEngine(
      { openReplayEngine, fingerprint, logger },
      'this worker cannot feed answers again: the fused judge is fitted without the reward model',
    )
    if (!('missing' in opened)) {
      parts.defer(() => opened.close())
      engine = opened.engine
    }
  }
  const { form } = rewardModelSizes(known.artifact)
  const confidencesOf = scoreStored(rewardModel, { form, engine, signal })
  return await readJudgeAnswers({ ...context, placeOf, confidencesOf }, episodes)
}

function withScores(answers: readonly JudgeAnswer[], scores: readonly number[]): readonly GateAnswer[] {
  return answers.map(({ answer }, index) => ({ ...answer, score: scores[index] ?? Number.NaN }))
}

function placeName({ tenantId, episodeId, position }: HeldOutAnswer): string {
  return `${tenantId} ${episodeId} ${position}`
}
