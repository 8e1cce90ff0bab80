/**
 * @file Program of the training process: trains reward models and weavers, and judges reward models, beside
 * the numbers that they read. A row holds numbers as they are stored; they are converted here.
 */

import {
  type DescribedThought,
  type GateAnswer,
  gateRewardModel,
  type LabelledThought,
  measureChoice,
  openRewardModel,
  type RewardModelOptions,
  trainRewardModel,
  trainWeaver,
  unpackLatents,
  unpackThought,
  type WeaverExample,
  type WeaverOptions,
} from '#algorithms'
import type { GraphRunner, LatentThought, PackedRows, TaskProgram } from '#ports'
import type { PackedPair } from './weaver-examples.ts'

/** Row of `trainRewardModel`. */
export interface ThoughtRow extends Omit<DescribedThought, 'thought'> {
  readonly thought: PackedRows
}

export interface RewardModelTask {
  readonly seed: number
  readonly overrides: Partial<RewardModelOptions>
}

/** Row of `trainWeaver`: an example, or the next piece of the active weaver, from which training may start. */
export type WeaverRow = PackedPair | { readonly warmStart: Uint8Array }

export interface WeaverTask {
  readonly seed: number
  readonly options: Partial<WeaverOptions> & Pick<WeaverOptions, 'latents'>
}

/** Reward model that a trial compares. */
export type Rival = 'candidate' | 'active' | 'anchor'

export type UnscoredAnswer = Omit<GateAnswer, 'score'>

/** Row of `judgeRewardModel`: an answer to score, or the next piece of a model's bytes. */
export type TrialRow =
  | { readonly answer: UnscoredAnswer; readonly isLocked: boolean; readonly thought: PackedRows }
  | { readonly model: Rival; readonly bytes: Uint8Array }

export interface RewardModelTrialTask {
  readonly seed: number
  /** Sizes of the thoughts of each model that takes part. */
  readonly models: Readonly<Partial<Record<Rival, { version: string; layers: number; width: number }>>>
  readonly replacesStale: boolean
}

export interface RewardModelTrialValue {
  readonly verdict: ReturnType<typeof gateRewardModel>
  /** Figures on the locked answers; null when there are none. */
  readonly locked: ReturnType<typeof measureChoice> | null
}

function rewardModelTask(): ReturnType<TaskProgram[string]> {
  const examples: LabelledThought[] = []
  return {
    add(rows) {
      for (const { thought, ...described } of rows as readonly ThoughtRow[])
        examples.push({ ...described, thought: unpackThought(thought) })
    },
    async run({ options, runner, signal, report }) {
      const { seed, overrides } = options as RewardModelTask
      const result = await trainRewardModel(runner, examples, { seed, signal, onProgress: report }, overrides)
      return toTaskResult(result)
    },
  }
}

function weaverTask(): ReturnType<TaskProgram[string]> {
  const examples: WeaverExample[] = []
  const warmStart: Uint8Array[] = []
  return {
    add(rows) {
      for (const row of rows as readonly WeaverRow[]) {
        if ('warmStart' in row) warmStart.push(new Uint8Array(row.warmStart))
        else examples.push({ ...row, zBase: unpackLatents(row.zBase), zStar: unpackLatents(row.zStar) })
      }
    },
    async run({ options, runner, signal, report }) {
      const { seed, options: given } = options as WeaverTask
      const result = await trainWeaver(
        runner,
        examples,
        { seed, signal, onProgress: report },
        { ...(warmStart.length > 0 && { warmStart: joined(warmStart) }), ...given },
      )
      return toTaskResult(result)
    },
  }
}

/** Separates the model from what messages can carry beside it. */
function toTaskResult<Trained extends { readonly model: Uint8Array }>(
  result: { readonly trained: Trained } | { readonly skipped: string },
) {
  if ('skipped' in result) return { value: result }
  const { model, ...trained } = result.trained
  return { value: { trained }, bytes: model }
}

function rewardModelTrialTask(): ReturnType<TaskProgram[string]> {
  const heldOut: Scorable = { answers: [], thoughts: [] }
  const locked: Scorable = { answers: [], thoughts: [] }
  const pieces = new Map<Rival, Uint8Array[]>()
  return {
    add(rows) {
      for (const row of rows as readonly TrialRow[]) {
        if ('model' in row) {
          pieces.set(row.model, [...(pieces.get(row.model) ?? []), new Uint8Array(row.bytes)])
          continue
        }
        const part = row.isLocked ? locked : heldOut
        part.answers.push(row.answer)
        part.thoughts.push(unpackThought(row.thought))
      }
    },
    async run({ options, runner, report }) {
      const { seed, models, replacesStale } = options as RewardModelTrialTask
      const scoresOf = async (rival: Rival, thoughts: readonly LatentThought[]) => {
        const sizes = models[rival]
        const bytes = joined(pieces.get(rival) ?? [])
        return sizes === undefined ? null : await score(runner, bytes, sizes, thoughts)
      }
      const own = (await scoresOf('candidate', heldOut.thoughts)) ?? []
      report(0.3)
      const verdict = gateRewardModel({
        answers: withScores(heldOut.answers, own),
        active: await scoresOf('active', heldOut.thoughts),
        anchor: await scoresOf('anchor', heldOut.thoughts),
        replacesStale,
        seed,
      })
      report(0.9)
      const ofLocked = locked.answers.length === 0 ? null : await scoresOf('candidate', locked.thoughts)
      const value: RewardModelTrialValue = {
        verdict,
        locked: ofLocked === null ? null : measureChoice(withScores(locked.answers, ofLocked)),
      }
      return { value }
    },
  }
}

/** Answers and their thoughts, in the same order. */
interface Scorable {
  readonly answers: UnscoredAnswer[]
  readonly thoughts: LatentThought[]
}

function withScores(answers: readonly UnscoredAnswer[], scores: readonly number[]): readonly GateAnswer[] {
  return answers.map((answer, index) => ({ ...answer, score: scores[index] ?? Number.NaN }))
}

async function score(
  runner: GraphRunner,
  bytes: Uint8Array,
  sizes: { readonly version: string; readonly layers: number; readonly width: number },
  thoughts: readonly LatentThought[],
): Promise<readonly number[]> {
  const model = await openRewardModel(runner, bytes, sizes)
  try {
    return await model.score(thoughts)
  } finally {
    await model.close()
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
  let end = 0
  for (const piece of pieces) {
    bytes.set(piece, end)
    end += piece.length
  }
  return bytes
}

/** A tasks's name is that of the function that it runs. */
const program = {
  trainRewardModel: rewardModelTask,
  trainWeaver: weaverTask,
  judgeRewardModel: rewardModelTrialTask,
} as const satisfies TaskProgram

export type TaskName = keyof typeof program

export default program
