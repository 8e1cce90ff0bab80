/**
 * @file LatentSeek: test-time policy gradient on the first latents of an answer.
 *
 * Paper: arXiv 2505.13308, Eq. 3-7: maximise E[R] over z under pi(x|z) = prod_{t<=S} head(x_t|z_t) prod_{t>S} model(x_t|x_<t);
 * positions are independent given the tokens, so only the LM head is differentiated.
 * Deviates: returns the best-reward answer, never one below the draft (the published code returns the last); reuses the
 * answer and reward of any prefix seen in this request; gives up after `patience` evaluations without a rise. With one
 * rollout the actions are the argmax tokens, as in the published code, where the expectation asks for samples. Latents
 * behind an EOS keep moving by their own tokens, so that the answer can grow again, though Eq. 4 ends with the answer.
 */

import { hasCode, ServiceError } from '#errors'
import type { AdamState, LatentHead, Latents } from '#ports'
import { deriveSeed } from '../derive-seed.ts'
import { type Evaluation, hasPassed } from '../rewards/judgement.ts'
import type { AnswerMemo } from './answer-memo.ts'
import { ADAM, argmaxAdvantage, freshAdam, sampledAdvantages } from './ascent.ts'
import { sameTokens, untilEos } from './prefix.ts'

export interface SeekOptions {
  readonly lr: number
  readonly beta1: number
  /** Of the head's softmax; 1 in the paper. */
  readonly temperature: number
  /** K: most Adam updates. */
  readonly maxIterations: number
  /** The search stops at the first best answer whose reward is above it (and whose P(correct) is at least .5). */
  readonly stopReward: number
  /**
   * Evaluations, of each rollout, without a rise of the best reward before the search gives up: `patience` times `rollouts`
   * new answers. One step of M rollouts would use up the patience of an argmax search before its first update.
   */
  readonly patience: number
  /** M. 1 takes the argmax tokens; more are sampled. */
  readonly rollouts: number
  /** Of sampled rollouts. */
  readonly seed: number
}

/** An answer, and the latents that led to it. */
export interface SearchPoint {
  readonly evaluation: Evaluation
  /** `[S, D]`; of a sampled rollout, the latents that it was drawn from. */
  readonly latents: Latents
  /** The tokens at the optimised positions, EOS last when the answer ended there. */
  readonly prefix: readonly number[]
  /** Updates done when it was found. */
  readonly step: number
}

export interface SeekUpdate {
  /** Updates done so far. */
  readonly step: number
  /** The answer that the latents decode to after this update, and whether that is another one than before. */
  readonly found: SearchPoint
  readonly changed: boolean
}

export interface SeekTask {
  readonly head: LatentHead
  readonly memo: AnswerMemo
  readonly eosTokenIds: readonly number[]
  /** Where the search starts; `memo` knows its prefix. */
  readonly start: SearchPoint
  /** The best answer so far: `start` itself, or a draft that memory has moved away from. */
  readonly best: SearchPoint
  /** True when no token is left to decode; asked before each update. */
  isExhausted?(): boolean
  /** Every update, in order. */
  onUpdate?(update: SeekUpdate): void
}

export type SeekStop = 'reward' | 'maxIterations' | 'noImprovement' | 'exhausted' | 'aborted'

export interface SeekResult {
  readonly best: SearchPoint
  readonly stopped: SeekStop
  readonly iterations: number
  /** Reward of what the latents decode to: at the start, then after every update. Length `iterations` + 1. */
  readonly rewardHistory: readonly number[]
}

interface Search {
  readonly task: SeekTask
  readonly options: SeekOptions
  readonly signal: AbortSignal
  latents: Latents
  adam: AdamState
  /** argmax of the latents, all `S` of them. */
  tokens: readonly number[]
  current: SearchPoint
  best: SearchPoint
  steps: number
  /** Evaluations since the best reward last rose. */
  unrewarded: number
  /** An update led out of the numbers: there is nowhere to go on from. */
  isLost: boolean
  readonly rewardHistory: number[]
}

/**
 * Improves an answer by moving its first latents uphill on the reward.
 *
 * @returns the best answer seen (ties: the earliest), never below `task.best`. When `signal` fires the work under way is
 *   dropped and the best so far is returned with `stopped: 'aborted'`.
 * @throws ServiceError whatever the head or the memo throws otherwise.
 */
export async function seekLatents(
  task: SeekTask,
  options: SeekOptions,
  signal: AbortSignal,
): Promise<SeekResult> {
  const search: Search = {
    task,
    options,
    signal,
    latents: task.start.latents,
    adam: freshAdam(task.start.latents),
    tokens: task.start.prefix,
    current: task.start,
    best: task.best,
    steps: 0,
    unrewarded: 0,
    isLost: false,
    rewardHistory: [task.start.evaluation.judgement.reward],
  }
  return {
    stopped: await run(search),
    best: search.best,
    iterations: search.steps,
    rewardHistory: search.rewardHistory,
  }
}

async function run(search: Search): Promise<SeekStop> {
  const update = search.options.rollouts > 1 ? sampledUpdate : argmaxUpdates
  try {
    // The argmax beyond an EOS is no part of the prefix, but it has latents that move.
    if (search.tokens.length < search.latents.length) {
      search.tokens = await search.task.head.decode(search.latents, search.signal)
    }
    for (;;) {
      const stop = stopReason(search)
      if (stop !== null) return stop
      await update(search)
    }
  } catch (error) {
    if (hasCode(error, 'ABORTED') && search.signal.aborted) return 'aborted'
    throw error
  }
}

function stopReason(search: Search): SeekStop | null {
  const { task, options, signal, best, current, steps, unrewarded } = search
  if (hasPassed(best.evaluation.judgement, options.stopReward)) return 'reward'
  if (signal.aborted) return 'aborted'
  if (steps >= options.maxIterations) return 'maxIterations'
  if (search.isLost) return 'noImprovement'
  if (unrewarded >= options.patience * options.rollouts) return 'noImprovement'
  // A reward of 0 has nothing to push away from.
  if (options.rollouts === 1 && current.evaluation.judgement.reward === 0) return 'noImprovement'
  if (task.isExhausted?.()) return 'exhausted'
  return null
}

/** Updates until the argmax tokens change: an answer that stays the same keeps its reward, so nothing is judged between. */
async function argmaxUpdates(search: Search): Promise<void> {
  const advantage = argmaxAdvantage(search.current.evaluation.judgement.reward)
  await ascend(search, {
    actions: [search.tokens],
    advantages: [advantage],
    maxSteps: search.options.maxIterations - search.steps,
    untilChanged: true,
  })
}

/** One update from `M` sampled rollouts (REINFORCE); rollouts are answers too, and the best of all may be one of them. */
async function sampledUpdate(search: Search): Promise<void> {
  const { task, options, latents, signal } = search
  const actions = await task.head.sample(
    latents,
    {
      rollouts: options.rollouts,
      temperature: options.temperature,
      seed: deriveSeed(options.seed, search.steps),
    },
    signal,
  )
  const rollouts = await evaluate(search, actions, search.steps)
  if (stopReason(search) !== null) return
  const rewards = rollouts.map(({ evaluation }) => evaluation.judgement.reward)
  await ascend(search, {
    actions,
    advantages: sampledAdvantages(rewards),
    maxSteps: 1,
    untilChanged: false,
  })
}

interface Push {
  readonly actions: readonly (readonly number[])[]
  readonly advantages: readonly number[]
  readonly maxSteps: number
  readonly untilChanged: boolean
}

async function ascend(search: Search, push: Push): Promise<void> {
  const { task, options, signal } = search
  const { lr, beta1, temperature } = options
  const { latents, adam } = search
  const moved = await task.head.ascend({ latents, adam, lr, beta1, temperature, ...ADAM, ...push }, signal)
  if (moved.steps < 1) {
    throw new ServiceError('INTERNAL', `seek latents: expected at least one update, got ${moved.steps}`)
  }
  for (let step = 1; step < moved.steps; step++) countUpdate(search, search.current)
  // A head in half precision can overflow; the argmax of what follows is no token of the model's.
  if (!moved.latents.data.every(Number.isFinite)) {
    search.isLost = true
    countUpdate(search, search.current)
    return
  }
  search.latents = moved.latents
  search.adam = moved.adam
  search.tokens = moved.tokens
  const [found] = await evaluate(search, [moved.tokens], search.steps + 1)
  countUpdate(search, found!)
}

/** Judges what tokens at the present latents lead to, and keeps the best. */
async function evaluate(
  search: Search,
  rollouts: readonly (readonly number[])[],
  step: number,
): Promise<readonly SearchPoint[]> {
  const { memo, eosTokenIds } = search.task
  const before = memo.evaluations
  const evaluations = await memo.evaluate(rollouts)
  const fresh = memo.evaluations - before
  const found = evaluations.map((evaluation, index) => ({
    evaluation,
    latents: search.latents,
    prefix: untilEos(rollouts[index]!, eosTokenIds),
    step,
  }))
  const winner = found.reduce(higherReward, search.best)
  search.unrewarded = winner === search.best ? search.unrewarded + fresh : 0
  search.best = winner
  return found
}

function countUpdate(search: Search, found: SearchPoint): void {
  const changed = !sameTokens(found.prefix, search.current.prefix)
  search.steps += 1
  search.current = found
  search.rewardHistory.push(found.evaluation.judgement.reward)
  search.task.onUpdate?.({ step: search.steps, found, changed })
}

/** The better of two answers; on a tie the first. */
export function higherReward(first: SearchPoint, second: SearchPoint): SearchPoint {
  return second.evaluation.judgement.reward > first.evaluation.judgement.reward ? second : first
}
