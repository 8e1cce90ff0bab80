/**
 * @file Program of the training process: trains the artifacts of all kinds, and judges reward models and fused judges,
 * beside the numbers that they read. A row holds numbers as they are stored; they are converted here.
 */

import {
  type DescribedThought,
  type GateAnswer,
  gateRewardModel,
  type LabelledThought,
  measureChoice,
  openRewardModel,
  type RewardModelIdentity,
  type RewardModelOptions,
  trainRewardModel,
  trainWeaver,
  unpackLatents,
  unpackThought,
  type WeaverExample,
  type WeaverOptions,
} from '#algorithms'
import type { GatedSums, GraphRunner, LatentThought, PackedRows, TaskProgram } from '#ports'
import { gateJudgeTask, trainJudgeTask } from './judge-program.ts'
import { toTaskResult } from './task-result.ts'
import type { PackedPair } from './weaver-examples.ts'

/** Row of `trainRewardModel`: an answer, or the states of the tokens of the answer in row `index`. */
export type ThoughtRow =
  | (Omit<DescribedThought, 'thought'> & { readonly thought: PackedRows; readonly last: PackedRows | null })
  | { readonly index: number; readonly tokens: PackedRows }

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

/**
 * Row of `judgeRewardModel`: an answer to score, the sums of the answer in row `index` under the maps of a model, or
 * the next piece of a model's bytes.
 */
export type TrialRow =
  | {
      readonly answer: UnscoredAnswer
      readonly isLocked: boolean
      readonly thought: PackedRows
      readonly last: PackedRows | null
    }
  | { readonly model: Rival; readonly index: number; readonly gated: GatedSums }
  | { readonly model: Rival; readonly bytes: Uint8Array }

export interface RewardModelTrialTask {
  readonly seed: number
  /** Form and sizes of each model that takes part. */
  readonly models: Readonly<Partial<Record<Rival, RewardModelIdentity>>>
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
      for (const row of rows as readonly ThoughtRow[]) {
        if ('index' in row) {
          const example = examples[row.index]
          const tokens = unpackThought(row.tokens).data
          if (example) examples[row.index] = { ...example, thought: { ...example.thought, tokens } }
          continue
        }
        const { thought, last, ...described } = row
        examples.push({ ...described, thought: unpackThought(thought, last) })
      }
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

function rewardModelTrialTask(): ReturnType<TaskProgram[string]> {
  const answers: TrialAnswer[] = []
  const sums = new Map<Rival, Map<number, GatedSums>>()
  const pieces = new Map<Rival, Uint8Array[]>()
  return {
    add(rows) {
      for (const row of rows as readonly TrialRow[]) {
        if ('answer' in row) {
          const { answer, isLocked, thought, last } = row
          answers.push({ answer, isLocked, thought: unpackThought(thought, last) })
        } else if ('gated' in row) {
          const own = sums.get(row.model) ?? new Map<number, GatedSums>()
          sums.set(row.model, own.set(row.index, row.gated))
        } else pieces.set(row.model, [...(pieces.get(row.model) ?? []), new Uint8Array(row.bytes)])
      }
    },
    async run({ options, runner, report }) {
      const { seed, models, replacesStale } = options as RewardModelTrialTask
      const rivals = Object.entries(models) as readonly [Rival, RewardModelIdentity][]
      const hasStates = (index: number, { thought }: TrialAnswer) =>
        rivals.every(([rival, { form }]) =>
          form === 'gated' ? sums.get(rival)?.has(index) : form === 'mean' || thought.last !== undefined,
        )
      // All are compared on the answers that all of them can score.
      const scorable = [...answers.entries()].filter(([index, answer]) => hasStates(index, answer))
      const heldOut = scorable.filter(([, { isLocked }]) => !isLocked)
      const locked = scorable.filter(([, { isLocked }]) => isLocked)
      const scoresOf = async (rival: Rival, part: typeof scorable) => {
        const identity = models[rival]
        if (identity === undefined) return null
        const thoughts = part.map(([index, { thought }]): LatentThought => {
          const gated = sums.get(rival)?.get(index)
          return gated === undefined ? thought : { ...thought, gated }
        })
        return await score(runner, joined(pieces.get(rival) ?? []), identity, thoughts)
      }
      const own = (await scoresOf('candidate', heldOut)) ?? []
      report(0.3)
      const verdict = gateRewardModel({
        answers: withScores(heldOut, own),
        active: await scoresOf('active', heldOut),
        anchor: await scoresOf('anchor', heldOut),
        replacesStale,
        seed,
      })
      report(0.9)
      const ofLocked = locked.length === 0 ? null : await scoresOf('candidate', locked)
      const value: RewardModelTrialValue = {
        verdict,
        locked: ofLocked === null ? null : measureChoice(withScores(locked, ofLocked)),
      }
      return { value }
    },
  }
}

interface TrialAnswer {
  readonly answer: UnscoredAnswer
  readonly isLocked: boolean
  readonly thought: LatentThought
}

function withScores(
  part: readonly (readonly [number, TrialAnswer])[],
  scores: readonly number[],
): readonly GateAnswer[] {
  return part.map(([, { answer }], place) => ({ ...answer, score: scores[place] ?? Number.NaN }))
}

async function score(
  runner: GraphRunner,
  bytes: Uint8Array,
  identity: RewardModelIdentity,
  thoughts: readonly LatentThought[],
): Promise<readonly number[]> {
  const model = await openRewardModel(runner, bytes, identity)
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

/** Tasks by name. */
const program = {
  trainRewardModel: rewardModelTask,
  trainWeaver: weaverTask,
  judgeRewardModel: rewardModelTrialTask,
  trainJudge: trainJudgeTask,
  gateJudge: gateJudgeTask,
} as const satisfies TaskProgram

export type TaskName = keyof typeof program

export default program
