/**
 * @file A scripted latent reward model for thoughts of the linear model: P(correct) comes from a table, by
 * first word.
 */

import type { LatentRewardModel, LatentThought } from '#ports'
import { argmax } from '#tensor'
import { tokenOf } from './linear-model.ts'

export interface ScriptedRewardModel extends LatentRewardModel {
  /** Number of thoughts that each call scored, in order. */
  readonly calls: readonly number[]
}

/**
 * Creates the model. The linear model's head must be the identity: the last state is then the first token,
 * one-hot.
 */
export function scriptedRewardModel(
  table: Readonly<Record<string, number>>,
  version = 'lrm-1',
): ScriptedRewardModel {
  const scores = new Map(Object.entries(table).map(([word, score]) => [tokenOf(word), score]))
  const calls: number[] = []
  const firstToken = ({ data, layers, width }: LatentThought) =>
    argmax(data.subarray((layers - 1) * width, layers * width))
  return {
    version,
    calls,
    async score(thoughts) {
      calls.push(thoughts.length)
      return thoughts.map((thought) => scores.get(firstToken(thought)) ?? 0)
    },
  }
}
