/** @file Tasks of the training process for the fused judge: its fit, and its gate. */

import {
  besideRewardModel,
  comparePolicies,
  decodeJudge,
  type GateAnswer,
  gateJudge,
  isFittedWith,
  type JudgeExample,
  measureJudge,
  measureJudgePolicy,
  openFusedJudge,
  type PolicyAnswer,
  trainJudge,
} from '#algorithms'
import type { TaskProgram } from '#ports'
import { toTaskResult } from './task-result.ts'

/** Row of `gateJudge`: a held-out or a locked answer; one with a label by self-reward is read by the policy alone. */
export interface JudgeTrialRow extends PolicyAnswer {
  /** Reward, by which the weighting of the profile orders answers, and the P(correct) by which it stops. */
  readonly byHand: { readonly reward: number; readonly probability: number }
  readonly isLocked: boolean
}

/** A version and its bytes, with the version of the reward model of its fit, as the manifest states it. */
interface JudgeVersion {
  readonly version: string
  readonly rewardModel: string | number | undefined
  readonly bytes: Uint8Array
}

export interface JudgeTask {
  /** Active version that was fitted to answers of the same verifier and beside the same reward model; null for none. */
  readonly active: JudgeVersion | null
}

export interface JudgeTrialTask {
  readonly seed: number
  readonly candidate: JudgeVersion
  /** Null: the candidate is compared with the weighting of the profile. */
  readonly active: JudgeVersion | null
  readonly anchor: JudgeVersion | null
  readonly replacesStale: boolean
  /** Version of the reward model whose estimates the answers have; null for none. */
  readonly rewardModel: string | null
}

export interface JudgeTrialValue {
  readonly verdict: ReturnType<typeof gateJudge>
  /** Figures on the locked answers; null when there are none. */
  readonly locked: ReturnType<typeof measureJudge> | null
  /** Figures of the policy of the candidate on the held-out answers; empty without a policy. */
  readonly policy: ReturnType<typeof measureJudgePolicy>
}

export function trainJudgeTask(): ReturnType<TaskProgram[string]> {
  const examples: JudgeExample[] = []
  return {
    add: (rows) => void examples.push(...(rows as readonly JudgeExample[])),
    async run({ options }) {
      const { active } = options as JudgeTask
      return toTaskResult(trainJudge(examples, active === null ? null : read(active)))
    },
  }
}

export function gateJudgeTask(): ReturnType<TaskProgram[string]> {
  const rows: JudgeTrialRow[] = []
  return {
    add: (added) => void rows.push(...(added as readonly JudgeTrialRow[])),
    async run({ options }) {
      const { seed, candidate, active, anchor, replacesStale, rewardModel } = options as JudgeTrialTask
      const scoresOf = (
        { version, bytes, rewardModel: fitted }: JudgeVersion,
        own: readonly JudgeTrialRow[],
      ) =>
        besideRewardModel(openFusedJudge(version, new Uint8Array(bytes)), fitted, rewardModel).score(
          own.map(({ known }) => known),
        )
      const ofPart = (isLocked: boolean) => rows.filter((row) => row.isLocked === isLocked)
      const measured = (own: readonly JudgeTrialRow[]) => own.filter(({ source }) => source !== 'self')
      const [heldOut, locked] = [measured(ofPart(false)), measured(ofPart(true))]
      const rivalOf = async (version: JudgeVersion) => {
        const scores = await scoresOf(version, heldOut)
        return { order: scores, probability: scores }
      }
      const byHand = {
        order: heldOut.map((row) => row.byHand.reward),
        probability: heldOut.map((row) => row.byHand.probability),
      }
      const weights = read(candidate)
      // Beside another reward model its P(correct), on which its policy was chosen, is not what it was.
      const isLike = active !== null && isFittedWith(active.rewardModel, rewardModel)
      const likeCandidate = isLike ? read(active) : null
      const verdict = gateJudge({
        answers: withScores(heldOut, await scoresOf(candidate, heldOut)),
        active: active === null ? byHand : await rivalOf(active),
        hasActive: active !== null,
        anchor: anchor === null ? null : await rivalOf(anchor),
        policies: comparePolicies(weights, likeCandidate, ofPart(false)),
        replacesStale,
        seed,
      })
      const value: JudgeTrialValue = {
        verdict,
        locked:
          locked.length === 0
            ? null
            : {
                ...measureJudge(withScores(locked, await scoresOf(candidate, locked)), { seed }),
                ...measureJudgePolicy(weights, ofPart(true)),
              },
        policy: measureJudgePolicy(weights, ofPart(false)),
      }
      return { value }
    },
  }
}

function read({ version, bytes }: JudgeVersion) {
  return decodeJudge(version, new Uint8Array(bytes))
}

function withScores(rows: readonly JudgeTrialRow[], scores: readonly number[]): readonly GateAnswer[] {
  return rows.map(({ answer }, index) => ({ ...answer, score: scores[index] ?? Number.NaN }))
}
