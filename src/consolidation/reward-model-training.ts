/** @file Training and judging of the latent reward model, in the training process. */

import {
  assignAnswers,
  type DescribedThought,
  packStates,
  type RewardModelOptions,
  type TrainedRewardModel,
  type Training,
  tokenMapsOf,
} from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { TokenMaps } from '#ports'
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
import { answersWithin, type FedAnswer, feedAnswers } from './feed-answers.ts'
import { openModelEngine } from './open-replay-engine.ts'
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
  context: TrainingContext,
  episodes: readonly EpisodeKey[],
  overrides: Partial<RewardModelOptions>,
): Promise<Trained | Skipped> {
  const { training, fingerprint, split, runner, signal, seed, report } = context
  const task = createTaskRows(runner, 'trainRewardModel' satisfies TaskName)
  try {
    const examples: DescribedThought[] = []
    const places: HeldOutAnswer[] = []
    const feedable: (FedAnswer & Tokened)[] = []
    const read = await readRewardModelExamples(
      training,
      fingerprint,
      episodes,
      { split, signal },
      async ({ described, packed, last, tokens, place }) => {
        // An answer without the states of its last token is of a release, or of a model, that gives none.
        if (last !== null)
          feedable.push({ index: examples.length, question: described.question, tokens, last })
        examples.push(described)
        places.push(place)
        await task.add({ ...described, thought: packed, last } satisfies ThoughtRow, packed.bytes.length)
      },
    )
    const assigned = assignAnswers(examples, [...examples.keys()])
    if ('skipped' in assigned) return assigned
    if (overrides.forms?.includes('gated') ?? true) await addTokenStates(context, feedable, task)
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

/** Place of an answer among the rows of a task. */
interface Tokened {
  readonly index: number
}

interface SentAnswers {
  /** Number of answers that were sent. */
  count: number
  /** Those that can be fed again. */
  readonly feedable: (FedAnswer & Tokened)[]
}

/** Upper bound, in bytes of fp32, on the states of tokens in the memory of the training process. */
const MAX_TOKEN_BYTES = 2 ** 28
/** Bounds on the positions of an answer whose states are trained on. */
const POSITIONS = { min: 16, max: 64 } as const

/**
 * Feeds the answers again and sends the states of their tokens, newest questions first, as many as fit. Without an
 * engine of the model there are none, and no form that needs them is trained.
 */
async function addTokenStates(
  { fingerprint, openReplayEngine, logger, signal }: TrainingContext,
  answers: readonly (FedAnswer & Tokened)[],
  task: TaskRows,
): Promise<void> {
  if (answers.length === 0) return
  const replaying = await openModelEngine(
    { openReplayEngine, fingerprint, logger },
    'this worker cannot feed answers again: the reward model is trained without the states of tokens',
  )
  if ('missing' in replaying) return
  const { engine } = replaying
  try {
    const width = engine.scoredLayers * engine.hiddenSize
    if (width === 0) return
    const positions = MAX_TOKEN_BYTES / (4 * width)
    const fed = answersWithin(answers).slice(0, Math.floor(positions / POSITIONS.min))
    const tokenStates = Math.min(POSITIONS.max, Math.floor(positions / fed.length))
    await feedAnswers(engine, fed, { tokenStates, signal }, async ({ index }, { tokens }) => {
      if (tokens === undefined) return
      const packed = packStates(tokens, width)
      await task.add({ index, tokens: packed } satisfies ThoughtRow, packed.bytes.length)
    })
  } finally {
    await replaying.close()
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
    const maps = new Map<Rival, TokenMaps>()
    for (const rival of ['candidate', 'active', 'anchor'] as const) {
      const version = rivals[rival]
      if (version === null) continue
      const sizes = rewardModelSizes(version.artifact)
      const own = tokenMapsOf(version.bytes, sizes)
      if (own !== null) maps.set(rival, own)
      models[rival] = sizes
      for (const bytes of inPieces(version.bytes))
        await task.add({ model: rival, bytes } satisfies TrialRow, bytes.length)
    }
    const sent: SentAnswers = { count: 0, feedable: [] }
    await addAnswers(context, heldOut, false, sent, task)
    await addAnswers(context, locked, true, sent, task)
    const missing = maps.size === 0 ? null : await addGatedSums(context, maps, sent.feedable, task)
    if (missing !== null) {
      const reason = `the tokens of held-out answers cannot be scored: ${missing}`
      return { promoted: false, isAnchor: false, reason, metrics: candidate.artifact.metrics, baseline: {} }
    }
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
 * Feeds answers again with the maps of each version, as a request does, and sends their sums.
 * @returns why this worker has no engine for it; null when it has
 */
async function addGatedSums(
  { fingerprint, openReplayEngine, logger, signal }: Omit<TrainingContext, 'active' | 'split'>,
  maps: ReadonlyMap<Rival, TokenMaps>,
  answers: readonly (FedAnswer & Tokened)[],
  task: TaskRows,
): Promise<string | null> {
  const replaying = await openModelEngine(
    { openReplayEngine, fingerprint, logger },
    'this worker cannot score the tokens of answers: the reward model is not judged',
  )
  if ('missing' in replaying) return replaying.missing
  try {
    for (const [model, tokenMaps] of maps) {
      await feedAnswers(
        replaying.engine,
        answersWithin(answers),
        { tokenMaps, signal },
        async ({ index }, { gated }) => {
          if (gated !== undefined) await task.add({ model, index, gated } satisfies TrialRow, 0)
        },
      )
    }
    return null
  } finally {
    await replaying.close()
  }
}

/**
 * Reads answers again and sends them: since training, labels may have changed, and answers may have been
 * deleted. Leaves out answers that only the model itself has labelled. Adds what it sends to `sent`.
 */
async function addAnswers(
  { training, fingerprint, signal }: Pick<TrialOptions, 'training' | 'fingerprint' | 'signal'>,
  wanted: readonly HeldOutAnswer[],
  isLocked: boolean,
  sent: SentAnswers,
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
    async ({ described: { question, correct, source }, packed, last, tokens, place, judged }) => {
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
      if (last !== null) sent.feedable.push({ index: sent.count, question, tokens, last })
      sent.count += 1
      await task.add({ answer, isLocked, thought: packed, last } satisfies TrialRow, packed.bytes.length)
    },
  )
}

function nameOf({ tenantId, episodeId, position }: HeldOutAnswer): string {
  return `${tenantId} ${episodeId} ${position}`
}
