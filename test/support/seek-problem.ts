/** @file A search small enough to work out by hand: an identity head over a few tokens, and a table of rewards. */

import {
  createAnswerMemo,
  type Evaluation,
  type SearchPoint,
  type SeekOptions,
  type SeekTask,
} from '#algorithms'
import type { AscentRequest, Latents } from '#ports'
import { identity, linearHead } from './linear-model.ts'

export const SEEK_OPTIONS: SeekOptions = {
  lr: 0.1,
  beta1: 0.9,
  temperature: 1,
  maxIterations: 50,
  stopReward: -0.2,
  patience: 50,
  rollouts: 1,
  seed: 1,
}

export interface SeekProblem {
  /** Logits of the first latents, `[S][V]`. */
  readonly logits: readonly (readonly number[])[]
  /** Reward of the answer that grows from a prefix (EOS last when it ends there). */
  readonly reward: (prefix: readonly number[]) => number
  /** P(correct) of that answer; by default what the reward says. */
  readonly correctness?: (prefix: readonly number[]) => number | null
  readonly eosTokenIds?: readonly number[]
  readonly before?: (call: 'ascend' | 'complete') => void
}

export function latentsFrom(rows: readonly (readonly number[])[]): Latents {
  return { data: Float32Array.from(rows.flat()), length: rows.length, width: rows[0]!.length }
}

export function evaluationOf(
  tokens: readonly number[],
  reward: number,
  correctness: number | null,
): Evaluation {
  const text = tokens.join(' ')
  return {
    answer: { tokens, text, answer: text, finish: 'eos', sequence: 0, tail: [], thought: null },
    judgement: { reward, terms: { table: reward }, correctness },
  }
}

/** The task, and a record of what the search did with it. */
export function seekProblem(problem: SeekProblem) {
  const latents = latentsFrom(problem.logits)
  const arithmetic = linearHead(identity(latents.width))
  const completed: (readonly number[])[] = []
  const ascents: AscentRequest[] = []
  const eosTokenIds = problem.eosTokenIds ?? []
  const evaluate = (prefix: readonly number[]) => {
    const reward = problem.reward(prefix)
    return evaluationOf(prefix, reward, problem.correctness ? problem.correctness(prefix) : 1 + reward)
  }
  const prefix = arithmetic.decode(latents)
  const start: SearchPoint = { evaluation: evaluate(prefix), latents, prefix, step: 0 }
  const memo = createAnswerMemo({
    eosTokenIds,
    async complete(prefixes) {
      problem.before?.('complete')
      completed.push(...prefixes)
      return prefixes.map(evaluate)
    },
  })
  memo.remember(prefix, start.evaluation)
  const task: SeekTask = {
    memo,
    eosTokenIds,
    start,
    best: start,
    head: {
      async ascend(request) {
        problem.before?.('ascend')
        ascents.push(request)
        return arithmetic.ascend(request)
      },
      decode: async (given) => arithmetic.decode(given),
      sample: async () => {
        throw new Error('no samples in this problem')
      },
    },
  }
  return { task, completed, ascents, start }
}
