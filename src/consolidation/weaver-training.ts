/** @file Training of the weaver, in the training process, and judging. */

import {
  besideRewardModel,
  identityWeaver,
  type OpenWeaver,
  reasonToSkipWeaver,
  type TrainedWeaver,
  type Training,
  type WeaverOptions,
} from '#algorithms'
import type { EpisodeKey } from '#artifacts'
import type { Engine } from '#engine'
import type { HeldOutQuestion } from '#episodes'
import { hasCode } from '#errors'
import type { FusedJudge } from '#ports'
import { openJudgeArtifact, openRewardModelArtifact, openWeaverArtifact } from '#serving'
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
import { openModelEngine } from './open-replay-engine.ts'
import type { Skipped } from './steps.ts'
import { createTaskRows, inPieces } from './task-rows.ts'
import type { TaskName, WeaverRow, WeaverTask } from './training-program.ts'
import { type DescribedPair, readWeaverExamples } from './weaver-examples.ts'
import { runTrial } from './weaver-trial.ts'

/** Upper bound on held-out questions, each replayed four or five times. */
const MAX_QUESTIONS = 200

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
  const task = createTaskRows(runner, 'trainWeaver' satisfies TaskName)
  try {
    const read = await readWeaverExamples(training, fingerprint, episodes, { split, signal }, (row, bytes) =>
      task.add(row satisfies WeaverRow, bytes),
    )
    const skipped = reasonToSkipWeaver(read.examples, [...read.examples.keys()])
    if (skipped !== null) return { skipped }
    for (const warmStart of inPieces(active?.bytes ?? new Uint8Array()))
      await task.add({ warmStart } satisfies WeaverRow, warmStart.length)
    const known = active?.artifact.features['latents']
    const longest = read.examples.reduce((most, { zBase }) => Math.max(most, zBase.length), 0)
    const latents = Math.max(longest, typeof known === 'number' ? known : 0)
    const options = { seed, options: { latents, ...overrides } } satisfies WeaverTask
    const { value, bytes } = await task.run(options, { signal, onProgress: report })
    const result = value as Training<Omit<TrainedWeaver, 'model'>>
    if ('skipped' in result) return result
    return {
      ...toTrained(
        { ...result.trained, model: bytes ?? new Uint8Array() },
        {
          episodes: read.episodes.filter((_, index) => isLearned(read.examples[index])),
          // All that were asked, admitted or not: a weaver must be able to show that it solves new questions.
          heldOut: split.episodesOf('heldOut'),
          locked: split.episodesOf('locked'),
        },
      ),
      losses: lossesOf(result.trained.options['validationLoss']),
      rejected: read.rejected,
    }
  } finally {
    await task.close()
  }
}

/** Returns whether a version depends on an example: by its steps, or by where they stop. */
function isLearned(example: DescribedPair | undefined): boolean {
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

async function judge({
  candidate,
  incumbent,
  anchor,
  hasAnchor,
  heldOut,
  rewardModel,
  fusedJudge,
  ...context
}: TrialOptions): Promise<TrialVerdict> {
  const rejected = (reason: string): TrialVerdict => {
    return { promoted: false, isAnchor: false, reason, metrics: candidate.artifact.metrics, baseline: {} }
  }
  const replaying = await openModelEngine(context, 'this worker cannot judge the weaver: candidate rejected')
  if ('missing' in replaying) return rejected(`cannot be judged: ${replaying.missing}`)
  const { engine } = replaying
  // Until a version becomes the anchor, the identity is it: small losses of versions that only save work would add
  // up. Without an active version, the identity is the incumbent already.
  const unmarked = hasAnchor || incumbent === null ? null : identityWeaver
  const opened: { close(): Promise<void> }[] = []
  const open = async ({ artifact, bytes }: ArtifactBytes): Promise<OpenWeaver> => {
    const weaver = await openWeaverArtifact(engine.graphs, artifact, bytes)
    opened.push(weaver)
    return weaver
  }
  try {
    const read = await context.training.heldOutQuestions(context.fingerprint, heldOut, {
      limit: MAX_QUESTIONS,
      rules: engine.model,
    })
    if (read.length === 0) return rejected('no held-out questions to judge by')
    const clusters = new Map(heldOut.map(({ episodeId, cluster }) => [episodeId, cluster]))
    const questions = read.map((one) => ({ ...one, cluster: clusterOf(one, clusters) }))
    const [scorer, judge] = [await rewardModel(), await fusedJudge()]
    const serving = {
      rewardModel: scorer && (await openRewardModelArtifact(engine.graphs, scorer.artifact, scorer.bytes)),
      judge: judge && openJudge(judge, engine, scorer?.artifact.version ?? null),
    }
    if (serving.rewardModel !== null) opened.push(serving.rewardModel)
    const verdict = await runTrial({
      ...context,
      engine,
      serving,
      candidate: await open(candidate),
      incumbent: incumbent === null ? null : await open(incumbent),
      anchor: anchor === null ? unmarked : await open(anchor),
      versions: [incumbent, anchor, scorer, judge].map((version) => version?.artifact.id ?? null),
      replacesStale: incumbent?.artifact.stale ?? false,
      questions,
    })
    return toTrialVerdict(candidate, {
      ...verdict,
      metrics: { ...verdict.metrics, labelled: shareWithReference(questions) },
    })
  } finally {
    await Promise.all(opened.map((weaver) => weaver.close()))
    await replaying.close()
  }
}

/** Loads a fused judge as serving does, which leaves out one that was fitted under another judge. */
function openJudge(
  { artifact, bytes }: ArtifactBytes,
  { model }: Engine,
  rewardModel: string | null,
): FusedJudge | null {
  try {
    const judge = openJudgeArtifact(artifact, bytes, model.judgeFingerprint)
    return besideRewardModel(judge, artifact.features['rewardModel'], rewardModel)
  } catch (thrown) {
    if (!hasCode(thrown, 'ARTIFACT_INVALID')) throw thrown
    return null
  }
}

/** Share of the gate's questions whose right answer is known. */
function shareWithReference(questions: readonly HeldOutQuestion[]): { value: number; n: number } {
  const labelled = questions.filter(({ reference }) => reference !== null).length
  return { value: labelled / questions.length, n: questions.length }
}

function clusterOf(
  { question, episodeIds }: HeldOutQuestion,
  clusters: ReadonlyMap<string, string | undefined>,
): string {
  return episodeIds.map((id) => clusters.get(id)).find((cluster) => cluster !== undefined) ?? question
}
