/** @file Training and judging of the weaver. */

import {
  gateWeaver,
  identityWeaver,
  type OpenWeaver,
  type TrialQuestion,
  trainWeaver,
  type WeaverExample,
  type WeaverOptions,
} from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { HeldOutQuestion } from '#episodes'
import { coerceError, type ErrorCode, hasCode } from '#errors'
import type { Weaver } from '#ports'
import { openWeaverArtifact } from '#serving'
import {
  type ArtifactBytes,
  type ArtifactTraining,
  type Trained,
  type TrainingContext,
  type TrialOptions,
  type TrialVerdict,
  toTrained,
  toTrialVerdict,
} from './artifact-training.ts'
import type { OpenReplayEngine } from './context.ts'
import { type ReplayDeps, replay } from './replay.ts'
import type { Skipped } from './steps.ts'
import { readWeaverExamples } from './weaver-examples.ts'

/**
 * Upper bound on held-out questions, each replayed four times. More would hardly narrow the gate's intervals.
 */
const MAX_QUESTIONS = 150

/** Errors of a worker that does not have the model; another attempt on it does not help. */
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
 * Trains once from the active weaver and once from nothing; the one with the lower validation loss is the
 * candidate. There is no start from a stale weaver: it would carry on what it has learned from deleted
 * episodes.
 */
async function train(
  { training, fingerprint, split, runner, signal, seed, report, active }: TrainingContext,
  episodes: readonly EpisodeKey[],
  overrides: Partial<WeaverOptions>,
): Promise<Trained | Skipped> {
  const read = await readWeaverExamples(training, fingerprint, episodes, { split, signal })
  const run = { seed, signal, onProgress: report }
  const known = active?.artifact.features['latents']
  const longest = read.examples.reduce((most, { zBase }) => Math.max(most, zBase.length), 0)
  const result = await trainWeaver(runner, read.examples, run, {
    latents: Math.max(longest, typeof known === 'number' ? known : 0),
    ...(active !== null && { warmStart: active.bytes }),
    ...overrides,
  })
  if ('skipped' in result) return result
  return {
    ...toTrained(result.trained, {
      episodes: read.episodes.filter((_, index) => isLearned(read.examples[index])),
      // All that were asked, admitted or not: a weaver must be able to show that it solves new questions.
      heldOut: split.episodesOf('heldOut'),
      locked: split.episodesOf('locked'),
    }),
    losses: lossesOf(result.trained.options['validationLoss']),
    rejected: read.rejected,
  }
}

/** Returns whether a version depends on an example: by its steps, or by where they stop. */
function isLearned(example: WeaverExample | undefined): boolean {
  return example?.part === 'train' || example?.part === 'calibration'
}

/**
 * Validation loss of each start (warm, cold), per latent coordinate, on the questions that choose the start.
 */
function lossesOf(validation: unknown): Trained['losses'] {
  return Object.fromEntries(
    Object.entries(validation ?? {}).map(([start, loss]) => [`validation.${start}`, Number(loss)]),
  )
}

async function judge({ candidate, incumbent, heldOut, ...context }: TrialOptions): Promise<TrialVerdict> {
  const questions = await context.training.heldOutQuestions(context.fingerprint, heldOut, MAX_QUESTIONS)
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
    const verdict = await runTrial({
      ...context,
      engine,
      candidate: await open(candidate),
      incumbent: incumbent === null ? null : await open(incumbent),
      questions,
    })
    return toTrialVerdict(candidate, verdict)
  } finally {
    await Promise.all(opened.map((weaver) => weaver.close()))
    await replaying.close()
  }
}

type Replaying = Awaited<ReturnType<OpenReplayEngine>>

/** Opens the engine to replay on, or returns why this worker has none for the model. */
async function openReplaying({
  openReplayEngine,
  fingerprint,
  logger,
}: Pick<TrialOptions, 'openReplayEngine' | 'fingerprint' | 'logger'>): Promise<
  Replaying | { readonly missing: string }
> {
  const missing = (reason: string) => {
    logger.warn({ fingerprint, reason }, 'this worker cannot judge the weaver: candidate rejected')
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

interface WeaverTrialOptions extends ReplayDeps, Pick<TrialOptions, 'seed' | 'signal' | 'report'> {
  readonly candidate: Weaver
  /** null: the identity, which is active before the first consolidation. */
  readonly incumbent: Weaver | null
  readonly questions: readonly HeldOutQuestion[]
}

/**
 * Replays the questions with both weavers, without retrieval and with it, and gates the results.
 * @throws ServiceError with the codes of `replay`
 */
async function runTrial({
  engine,
  episodes,
  logger,
  candidate,
  incumbent,
  questions,
  seed,
  signal,
  report,
}: WeaverTrialOptions): Promise<ReturnType<typeof gateWeaver>> {
  const exclude = questions.flatMap(({ episodeIds }) => episodeIds)
  let done = 0
  async function solveBy(weaver: Weaver, retrieval: boolean): Promise<readonly TrialQuestion[]> {
    const options = { learned: { weaver, rewardModel: null }, retrieval, exclude, signal }
    const results = await replay({ engine, episodes, logger }, questions, options)
    done += 1
    report(done / 4)
    return results
  }
  const active = incumbent ?? identityWeaver
  return gateWeaver({
    candidate: await solveBy(candidate, false),
    active: await solveBy(active, false),
    guard: { candidate: await solveBy(candidate, true), active: await solveBy(active, true) },
    seed,
  })
}
