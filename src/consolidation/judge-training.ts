/** @file Training and judging of the fused judge, in the training process. */

import { NO_REWARD_MODEL, openFusedJudge, type TrainedJudge, type Training } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { Engine } from '#engine'
import { EFFORTS, type Policy } from '#ports'
import { openRewardModelArtifact, rewardModelSizes } from '#serving'
import {
  type ActiveRewardModel,
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
import { episodesOf, type JudgeAnswer, readJudgeAnswers, scoreStored, withholding } from './judge-examples.ts'
import type { JudgeTask, JudgeTrialRow, JudgeTrialTask, JudgeTrialValue } from './judge-program.ts'
import { openModelEngine } from './open-replay-engine.ts'
import { nameOf } from './split-night.ts'
import type { Skipped } from './steps.ts'
import { createTaskRows } from './task-rows.ts'
import type { TaskName } from './training-program.ts'

export const JUDGE_TRAINING: ArtifactTraining = {
  material: 'answers',
  train,
  open: async (_runner, { artifact, bytes }) => {
    openFusedJudge(artifact.version, bytes)
    return { close: async () => {} }
  },
  judge,
}

/** Upper bound on the answers of one fit, the newest first. It has a dozen weights: more answers change little. */
const MAX_ANSWERS = 50_000
/** About the bytes of an answer in a message. */
const ANSWER_BYTES = 500

interface Context
  extends Pick<
    TrainingContext,
    'training' | 'fingerprint' | 'runner' | 'signal' | 'openReplayEngine' | 'logger'
  > {
  /** Active latent reward model; null for none. */
  readonly known: ActiveRewardModel | null
}

/** Place of an answer of a fit, and whether the fit may read it. */
interface SentAnswer extends Pick<JudgeAnswer, 'place'> {
  readonly isFitted: boolean
}

/**
 * Fits a judge on the answers of the parts `train` and `calibration`. The active latent reward model's estimates of the answers
 * that it was trained on are withheld: after a night that trained both, that is most of them. Leaves out answers of
 * another judge than that of the newest: their rewards and verdicts do not compare.
 */
async function train(
  { split, rewardModel, active, report, ...context }: TrainingContext,
  episodes: Parameters<ArtifactTraining['train']>[1],
): Promise<Trained | Skipped> {
  const { runner, signal } = context
  const known = await rewardModel()
  const task = createTaskRows(runner, 'trainJudge' satisfies TaskName)
  try {
    const sent: SentAnswer[] = []
    const left = { otherJudge: new Set<string>(), tooMany: new Set<string>() }
    const newest = { judgeFingerprint: null as string | null }
    await read({ ...context, known }, episodes, split.placeOf, async (one) => {
      const { place, byHand: _, judgeFingerprint, ...example } = one
      newest.judgeFingerprint ??= judgeFingerprint
      if (judgeFingerprint !== newest.judgeFingerprint) left.otherJudge.add(nameOf(place))
      else if (sent.length === MAX_ANSWERS) left.tooMany.add(nameOf(place))
      else {
        const isFitted =
          example.source !== 'self' && (example.part === 'train' || example.part === 'calibration')
        sent.push({ place, isFitted })
        await task.add(example, ANSWER_BYTES)
      }
    })
    const isLike =
      active !== null &&
      judgeOf(active) === newest.judgeFingerprint &&
      active.artifact.features['rewardModel'] === (known?.artifact.version ?? NO_REWARD_MODEL)
    const given = { active: isLike ? toVersion(active) : null } satisfies JudgeTask
    const { value, bytes } = await task.run(given, { signal, onProgress: report })
    const result = value as Training<Omit<TrainedJudge, 'model'>>
    if ('skipped' in result) return result
    const { weights, policy, ...trained } = result.trained
    const placesOf = (indices: readonly number[]) => indices.flatMap((index) => sent[index]?.place ?? [])
    const features = {
      ...trained.features,
      judgeFingerprint: newest.judgeFingerprint ?? '',
      rewardModel: known?.artifact.version ?? NO_REWARD_MODEL,
    }
    const options = { ...trained.options, rewardModel: known?.artifact.version ?? null, weights }
    return {
      ...toTrained(
        { model: bytes ?? new Uint8Array(), features, options, metrics: trained.metrics },
        {
          episodes: episodesOf(sent.filter(({ isFitted }) => isFitted).map(({ place }) => place)),
          heldOut: placesOf(trained.heldOut),
          locked: placesOf(trained.locked),
        },
      ),
      losses: {},
      weights,
      policy: policyTable(policy),
      rejected: {
        otherJudge: left.otherJudge.size,
        tooManyAnswers: left.tooMany.size,
      },
    }
  } finally {
    await task.close()
  }
}

/** The bands of all efforts, one below the other. */
function policyTable(policy: Policy | null): Trained['policy'] {
  return EFFORTS.flatMap((effort) => (policy?.[effort] ?? []).map((band) => ({ effort, ...band })))
}

/** Compares with the versions of the same verifier, format rules and weights; without one, with the weighting of the profile. */
async function judge({
  candidate,
  incumbent,
  anchor,
  heldOut,
  locked,
  seed,
  rewardModel,
  report,
  ...context
}: TrialOptions): Promise<TrialVerdict> {
  const { runner, signal } = context
  const known = await rewardModel()
  const task = createTaskRows(runner, 'gateJudge' satisfies TaskName)
  try {
    for (const [places, isLocked] of [
      [heldOut, false],
      [locked, true],
    ] as const) {
      await readPlaces(
        { ...context, known },
        places,
        ({ answer, known: facts, byHand, source, kind, strategy }) =>
          task.add(
            { answer, known: facts, byHand, source, kind, strategy, isLocked } satisfies JudgeTrialRow,
            ANSWER_BYTES,
          ),
      )
    }
    const rivalOf = (version: ArtifactBytes | null) =>
      version !== null && judgeOf(version) === judgeOf(candidate) ? toVersion(version) : null
    const active = rivalOf(incumbent)
    const options = {
      seed,
      candidate: toVersion(candidate),
      active,
      anchor: rivalOf(anchor),
      rewardModel: known?.artifact.version ?? null,
      replacesStale: active !== null && (incumbent?.artifact.stale ?? false),
    } satisfies JudgeTrialTask
    const value = (await task.run(options, { signal, onProgress: report })).value as JudgeTrialValue
    const { metrics, ...decided } = toTrialVerdict(candidate, value.verdict)
    const named = (part: string, figures: Parameters<typeof finiteMetrics>[0]) =>
      Object.fromEntries(
        Object.entries(finiteMetrics(figures)).map(([name, figure]) => [`${part}.${name}`, figure]),
      )
    return {
      ...decided,
      metrics: {
        ...metrics,
        ...named('heldOut', value.policy),
        ...named('locked', value.locked ?? {}),
      },
    }
  } finally {
    await task.close()
  }
}

function judgeOf({ artifact }: ArtifactBytes): string | number | undefined {
  return artifact.features['judgeFingerprint']
}

function toVersion({ artifact: { version, features }, bytes }: ArtifactBytes) {
  return { version, bytes, rewardModel: features['rewardModel'] }
}

/** Reads the answers of a trial again: since training, labels may have changed, and answers may have been deleted. */
async function readPlaces(
  context: Context,
  places: readonly HeldOutAnswer[],
  take: (answer: JudgeAnswer) => Promise<void>,
): Promise<void> {
  const clusters = new Map(places.map((place) => [placeName(place), place.cluster]))
  const placeOf = (_: unknown, question: string) => ({ part: 'heldOut' as const, cluster: question })
  await read(context, episodesOf(places), placeOf, async (one) => {
    const name = placeName(one.place)
    if ((one.source === 'self' && one.kind !== 'draft') || !clusters.has(name)) return
    const cluster = clusters.get(name) ?? one.answer.question
    await take({ ...one, answer: { ...one.answer, cluster } })
  })
}

async function read(
  { known, runner, openReplayEngine, logger, ...context }: Context,
  episodes: readonly EpisodeKey[],
  placeOf: Parameters<typeof readJudgeAnswers>[0]['placeOf'],
  take: (answer: JudgeAnswer) => Promise<void>,
): Promise<void> {
  const { signal, fingerprint } = context
  if (known === null) return readJudgeAnswers({ ...context, placeOf, confidencesOf: null }, episodes, take)
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
  const confidencesOf = withholding(scoreStored(rewardModel, { form, engine, signal }), (one) =>
    known.trainedOn.has(nameOf(one)),
  )
  await readJudgeAnswers({ ...context, placeOf, confidencesOf }, episodes, take)
}

function placeName({ tenantId, episodeId, position }: HeldOutAnswer): string {
  return `${tenantId} ${episodeId} ${position}`
}
