/** @file How nights train and judge the weaver. */

import { type gateWeaver, type OpenWeaver, trainWeaver, type WeaverOptions } from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { Engine } from '#engine'
import { coerceError, type ErrorCode, hasCode } from '#errors'
import { openWeaverArtifact } from '#serving'
import type {
  ArtifactBytes,
  ArtifactTraining,
  Trained,
  TrainingContext,
  TrialOptions,
  TrialVerdict,
} from './artifact-training.ts'
import { finiteMetrics } from './finite-metrics.ts'
import { runReplayTrial } from './replay-trial.ts'
import { readWeaverExamples } from './weaver-examples.ts'

/** Replayed four times each; the intervals of the gate hardly shrink beyond. */
const MAX_QUESTIONS = 150

/** What a worker without this model meets; trying again there does not help. */
const NO_SUCH_MODEL: readonly ErrorCode[] = [
  'MODEL_INVALID',
  'MODEL_UNSUPPORTED',
  'ONNX_INVALID',
  'PROVIDER_UNAVAILABLE',
]

export function createWeaverTraining(options: Partial<WeaverOptions>): ArtifactTraining {
  return {
    material: 'latents',
    train: (context, episodes) => train(context, episodes, options),
    open: (runner, { artifact, bytes }) => openWeaverArtifact(runner, artifact, bytes),
    judge,
  }
}

/**
 * Trains from the active weaver and from nothing; what validates better is the candidate. A weaver that is stale is no start: what it
 * knows of deleted episodes would live on.
 */
async function train(
  context: TrainingContext,
  episodes: readonly EpisodeKey[],
  overrides: Partial<WeaverOptions>,
): Promise<Trained | { readonly skipped: string }> {
  const { training, fingerprint, runner, signal, seed, report, active } = context
  const material = await readWeaverExamples(training, fingerprint, episodes, { signal })
  const run = { seed, signal, onProgress: report }
  const known = active?.artifact.features['latents']
  const longest = material.examples.reduce((most, { zBase }) => Math.max(most, zBase.length), 0)
  const result = await trainWeaver(runner, material.examples, run, {
    latents: Math.max(longest, typeof known === 'number' ? known : 0),
    ...(active !== null && { warmStart: active.bytes }),
    ...overrides,
  })
  if ('skipped' in result) return result
  const { model, features, options, metrics, heldOut } = result.trained
  return {
    bytes: model,
    manifest: { features, options, episodes: material.episodes },
    metrics: finiteMetrics(metrics),
    heldOut: heldOut.flatMap((index) => material.episodes[index] ?? []),
    losses: lossesOf(options['validationLoss']),
    rejected: material.rejected,
  }
}

/** Of each start, per latent coordinate, on the questions that decide between them. */
function lossesOf(validation: unknown): Trained['losses'] {
  return Object.fromEntries(
    Object.entries(validation ?? {}).map(([start, loss]) => [`validation.${start}`, Number(loss)]),
  )
}

async function judge({ candidate, incumbent, heldOut, ...context }: TrialOptions): Promise<TrialVerdict> {
  const { training, fingerprint, seed } = context
  const questions = await training.heldOutQuestions(fingerprint, heldOut, MAX_QUESTIONS)
  const rejected = (reason: string): TrialVerdict => {
    return { promoted: false, reason, metrics: candidate.artifact.metrics, baseline: {} }
  }
  if (questions.length === 0) return rejected('no held-out questions to judge by')
  const replaying = await openReplaying(context)
  if ('missing' in replaying) return rejected(`cannot be judged: ${replaying.missing}`)
  const { engine } = replaying
  const opened: OpenWeaver[] = []
  const open = async ({ artifact, bytes }: ArtifactBytes): Promise<OpenWeaver> => {
    const weaver = await openWeaverArtifact(engine.graphs, artifact, bytes)
    opened.push(weaver)
    return weaver
  }
  try {
    const verdict: ReturnType<typeof gateWeaver> = await runReplayTrial({
      ...context,
      engine,
      candidate: await open(candidate),
      incumbent: incumbent === null ? null : await open(incumbent),
      questions,
      seed,
    })
    return {
      promoted: verdict.promoted,
      reason: verdict.reason,
      metrics: { ...candidate.artifact.metrics, ...finiteMetrics(verdict.metrics) },
      baseline: finiteMetrics(verdict.baseline),
    }
  } finally {
    await Promise.all(opened.map((weaver) => weaver.close()))
    await replaying.close()
  }
}

interface Replaying {
  readonly engine: Engine
  close(): Promise<void>
}

/** The engine to replay on, or why this worker has none for this model. */
async function openReplaying({
  openReplayEngine,
  fingerprint,
  logger,
}: Pick<TrialOptions, 'openReplayEngine' | 'fingerprint' | 'logger'>): Promise<
  Replaying | { readonly missing: string }
> {
  const missing = (reason: string) => {
    logger.warn({ fingerprint, reason }, 'a weaver cannot be judged by this worker')
    return { missing: reason }
  }
  try {
    const replaying = await openReplayEngine()
    const { id, fingerprint: own } = replaying.engine.model
    if (own === fingerprint) return replaying
    await replaying.close()
    return missing(
      `expected a worker with the model ${fingerprint}, got one with ${id}, ${own}: see MODEL_DIR`,
    )
  } catch (thrown) {
    if (!NO_SUCH_MODEL.some((code) => hasCode(thrown, code))) throw thrown
    return missing(`expected a worker with the model, got ${coerceError(thrown).message}`)
  }
}
