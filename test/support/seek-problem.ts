/**
 * @file Search problems small enough to solve by hand: an identity head over a few tokens, and a table of
 * rewards.
 */

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
  direction: 'gradient',
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
  /** Reward of the answer that a prefix is completed to (EOS last when it ends there). */
  readonly reward: (prefix: readonly number[]) => number
  /** P(correct) of that answer; 1 + reward unless given. */
  readonly correctness?: (prefix: readonly number[]) => number | null
  /** P(correct) of that answer by a fused judge; none is active unless given. */
  readonly fused?: (prefix: readonly number[]) => number
  readonly eosTokenIds?: readonly number[]
  /** Called before each call of the head or of `complete`. */
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
    answer: {
      tokens,
      text,
      answer: text,
      finish: 'eos',
      sequence: 0,
      tail: [],
      thought: null,
      signals: null,
    },
    judgement: { reward, terms: { table: reward }, correctness },
  }
}

/** Creates a search task that records the completed prefixes and the ascents. */
export function seekProblem(problem: SeekProblem) {
  const latents = latentsFrom(problem.logits)
  const arithmetic = linearHead(identity(latents.width))
  const completed: (readonly number[])[] = []
  const ascents: AscentRequest[] = []
  const eosTokenIds = problem.eosTokenIds ?? []
  const evaluate = (prefix: readonly number[]) => {
    const reward = problem.reward(prefix)
    const known = evaluationOf(prefix, reward, problem.correctness ? problem.correctness(prefix) : 1 + reward)
    if (problem.fused === undefined) return known
    return { ...known, judgement: { ...known.judgement, fused: problem.fused(prefix) } }
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
        throw new Error('seek problem: expected no call of sample, got one')
      },
      likelyTokens: async () => {
        throw new Error('seek problem: expected no call of likelyTokens, got one')
      },
    },
  }
  return { task, completed, ascents, start }
}
