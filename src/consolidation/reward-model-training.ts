/** @file Training and judging of the latent reward model, in the training process. */

import {
  assignAnswers,
  type DescribedThought,
  type RewardModelOptions,
  type TrainedRewardModel,
  type Training,
} from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import { openRewardModelArtifact, rewardModelSizes } from '#serving'
import {
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
import { createTaskRows, inPieces, type TaskRows } from './task-rows.ts'
import type {
  RewardModelTask,
  RewardModelTrialTask,
  RewardModelTrialValue,
  Rival,
  TaskName,
  ThoughtRow,
  TrialRow,
  UnscoredAnswer,
} from './training-program.ts'

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
  const task = createTaskRows(runner, 'trainRewardModel' satisfies TaskName)
  try {
    const examples: DescribedThought[] = []
    const places: HeldOutAnswer[] = []
    const read = await readRewardModelExamples(
      training,
      fingerprint,
      episodes,
      { split, signal },
      async ({ described, packed, place }) => {
        examples.push(described)
        places.push(place)
        await task.add({ ...described, thought: packed } satisfies ThoughtRow, packed.bytes.length)
      },
    )
    const assigned = assignAnswers(examples, [...examples.keys()])
    if ('skipped' in assigned) return assigned
    const { value, bytes } = await task.run({ seed, overrides } satisfies RewardModelTask, {
      signal,
      onProgress: report,
    })
    const result = value as Training<Omit<TrainedRewardModel, 'model'>>
    if ('skipped' in result) return result
    const placesOf = (indices: readonly number[]) => indices.flatMap((index) => places[index] ?? [])
    return {
      ...toTrained(
        { ...result.trained, model: bytes ?? new Uint8Array() },
        {
          episodes: read.episodes,
          heldOut: placesOf(result.trained.heldOut),
          locked: placesOf(result.trained.locked),
        },
      ),
      losses: {},
      rejected: { notRead: episodes.length - read.read, unused: read.unused },
    }
  } finally {
    await task.close()
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
  const { runner, signal, seed, report } = context
  const task = createTaskRows(runner, 'judgeRewardModel' satisfies TaskName)
  try {
    const rivals = { candidate, active: incumbent, anchor }
    const models: Partial<Record<Rival, ReturnType<typeof rewardModelSizes>>> = {}
    for (const rival of ['candidate', 'active', 'anchor'] as const) {
      const version = rivals[rival]
      if (version === null) continue
      models[rival] = rewardModelSizes(version.artifact)
      for (const bytes of inPieces(version.bytes))
        await task.add({ model: rival, bytes } satisfies TrialRow, bytes.length)
    }
    await addAnswers(context, heldOut, false, task)
    await addAnswers(context, locked, true, task)
    const options = { seed, models, replacesStale: incumbent?.artifact.stale ?? false }
    const result = await task.run(options satisfies RewardModelTrialTask, { signal, onProgress: report })
    const value = result.value as RewardModelTrialValue
    const { metrics, ...decided } = toTrialVerdict(candidate, value.verdict)
    const figures = Object.entries(finiteMetrics(value.locked ?? {}))
    const lockedMetrics = Object.fromEntries(figures.map(([name, figure]) => [`locked.${name}`, figure]))
    return { ...decided, metrics: { ...metrics, ...lockedMetrics } }
  } finally {
    await task.close()
  }
}

/**
 * Reads answers again and sends them: since training, labels may have changed, and answers may have been
 * deleted. Leaves out answers that only the model itself has labelled.
 */
async function addAnswers(
  { training, fingerprint, signal }: Pick<TrialOptions, 'training' | 'fingerprint' | 'signal'>,
  wanted: readonly HeldOutAnswer[],
  isLocked: boolean,
  task: TaskRows,
): Promise<void> {
  const clusters = new Map(wanted.map((place) => [nameOf(place), place.cluster]))
  const episodes = new Map(
    wanted.map(({ tenantId, episodeId }) => [`${tenantId} ${episodeId}`, { tenantId, episodeId }]),
  )
  await readRewardModelExamples(
    training,
    fingerprint,
    [...episodes.values()],
    { signal },
    async ({ described: { question, correct, source }, packed, place, judged }) => {
      if (source === 'self' || !clusters.has(nameOf(place))) return
      const { tenantId, episodeId } = place
      const answer: UnscoredAnswer = {
        question,
        cluster: clusters.get(nameOf(place)) ?? question,
        tenantId,
        episodeId,
        correct,
        byMajority: source === 'majority',
        ...judged,
      }
      await task.add({ answer, isLocked, thought: packed } satisfies TrialRow, packed.bytes.length)
    },
  )
}

function nameOf({ tenantId, episodeId, position }: HeldOutAnswer): string {
  return `${tenantId} ${episodeId} ${position}`
}
