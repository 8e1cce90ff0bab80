/**
 * @file LatentSeek: test-time policy gradient on the first latents of an answer.
 *
 * Paper: arXiv 2505.13308, Eq. 3-7: maximise E[R] over z under
 * pi(x|z) = prod_{t<=S} head(x_t|z_t) prod_{t>S} model(x_t|x_<t);
 * positions are independent given the tokens, so only the LM head is differentiated.
 * Deviates: returns the answer of highest reward, never one below the draft (the published code returns the
 * last); reuses the answer and reward of any prefix seen in this request; stops after `patience` evaluations
 * without a rise. With one rollout the actions are the argmax tokens, as in the published code, although the
 * expectation calls for samples. Sampled actions are drawn from the 128 most likely tokens of each position,
 * while the gradient is that of the whole softmax. Latents after an EOS are still updated towards their own tokens, so that
 * the answer can become longer again, although Eq. 4 ends with the answer. With a fused judge, its P(correct) - 1 is the reward of
 * every step, as it is of the choice (`worthOf`). A refuted answer has the lowest reward, and any other answer is above it
 * (`isBetter`).
 */

import { hasCode, ServiceError } from '#errors'
import type { AdamState, LatentHead, Latents } from '#ports'
import { isFinite32 } from '#tensor'
import { deriveSeed } from '../derive-seed.ts'
import { type Evaluation, hasPassed, isBetter, worthOf } from '../rewards/judgement.ts'
import type { AnswerMemo } from './answer-memo.ts'
import { ADAM, argmaxAdvantage, freshAdam, sampledAdvantages } from './ascent.ts'
import { sameTokens, untilEos } from './prefix.ts'
import { wander } from './wander.ts'

/** Directions in which a search moves the latents: that of the policy gradient, or its control, a random one. */
export type Direction = 'gradient' | 'random'

export interface SeekOptions {
  readonly direction: Direction
  /** Adam's learning rate; the length of a step per coordinate. */
  readonly lr: number
  readonly beta1: number
  /** Temperature of the head's softmax; 1 in the paper. */
  readonly temperature: number
  /** K: upper bound on the number of Adam updates. */
  readonly maxIterations: number
  /** Reward above which the best answer ends the search, unless its P(correct) is estimated below .5 (see `hasPassed`). */
  readonly stopReward: number
  /**
   * Number of evaluations per rollout, without a rise of the best reward, after which the search stops:
   * `patience` times `rollouts` new answers. Without that factor one step of M rollouts could use up the
   * patience of an argmax search before its first update.
   */
  readonly patience: number
  /** M, the number of rollouts. With 1 the actions are the argmax tokens; with more they are sampled. */
  readonly rollouts: number
  /** Seed of the sampled rollouts. */
  readonly seed: number
}

/** Judged answer and the latents that led to it. */
export interface SearchPoint {
  readonly evaluation: Evaluation
  /** Latents of the answer, `[S, D]`; for a sampled rollout, the latents that it was drawn from. */
  readonly latents: Latents
  /** Tokens at the optimised positions, EOS last when the answer ended there. */
  readonly prefix: readonly number[]
  /** Number of updates done when the answer was found. */
  readonly step: number
}

export interface SeekUpdate {
  /** Number of updates done so far. */
  readonly step: number
  /** Answer that the latents decode to after this update. */
  readonly found: SearchPoint
  /** True when its prefix differs from the one before this update. */
  readonly changed: boolean
}

export interface SeekTask {
  readonly head: LatentHead
  readonly memo: AnswerMemo
  readonly eosTokenIds: readonly number[]
  /** Starting point; `memo` already holds its prefix. */
  readonly start: SearchPoint
  /**
   * Best answer so far: `start` itself, or the draft when episode memory has moved the start away from it.
   */
  readonly best: SearchPoint
  /** Returns true when the token budget is used up; called before each update. */
  isExhausted?(): boolean
  /** Called after every update, in order. */
  onUpdate?(update: SeekUpdate): void
}

export type SeekStop = 'reward' | 'maxIterations' | 'noImprovement' | 'exhausted' | 'aborted'

export interface SeekResult {
  readonly best: SearchPoint
  readonly stopped: SeekStop
  readonly iterations: number
  /**
   * Reward of the answer that the latents decode to: at the start, then after every update. Length
   * `iterations` + 1.
   */
  readonly rewardHistory: readonly number[]
}

/** State of one search. */
interface Search {
  readonly task: SeekTask
  readonly options: SeekOptions
  readonly signal: AbortSignal
  latents: Latents
  adam: AdamState
  /** argmax tokens of the latents, `S` of them. */
  tokens: readonly number[]
  current: SearchPoint
  best: SearchPoint
  steps: number
  /** Number of evaluations since the best reward last rose. */
  sinceRise: number
  /** True when an update gave latents that are not finite: the search cannot continue. */
  diverged: boolean
  readonly rewardHistory: number[]
}

/**
 * Improves an answer by moving its first latents uphill on the reward.
 *
 * @returns the best answer seen (ties: the earliest), never below `task.best`. When `signal` fires, the work
 *   in flight is dropped and the best answer so far is returned with `stopped: 'aborted'`.
 * @throws ServiceError any other error of the head or the memo.
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
    sinceRise: 0,
    diverged: false,
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
    // The prefix ends at EOS, but the latents after it are updated too and need their argmax tokens.
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
  const { task, options, signal, best, current, steps, sinceRise } = search
  if (hasPassed(best.evaluation.judgement, options.stopReward)) return 'reward'
  if (signal.aborted) return 'aborted'
  if (steps >= options.maxIterations) return 'maxIterations'
  if (search.diverged) return 'noImprovement'
  if (sinceRise >= options.patience * options.rollouts) return 'noImprovement'
  // With argmax tokens a reward of 0 gives no gradient.
  if (options.rollouts === 1 && worthOf(current.evaluation.judgement) === 0) return 'noImprovement'
  if (task.isExhausted?.()) return 'exhausted'
  return null
}

/**
 * Updates until the argmax tokens change. An unchanged answer keeps its reward, so nothing is judged in
 * between.
 */
async function argmaxUpdates(search: Search): Promise<void> {
  const advantage = argmaxAdvantage(worthOf(search.current.evaluation.judgement))
  await ascend(search, {
    actions: [search.tokens],
    advantages: [advantage],
    maxSteps: search.options.maxIterations - search.steps,
    untilChanged: true,
  })
}

/**
 * Performs one update from `M` sampled rollouts (REINFORCE). Rollouts are answers too and compete to be the
 * best.
 */
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
  const rewards = rollouts.map(({ evaluation }) => worthOf(evaluation.judgement))
  await ascend(search, {
    actions,
    advantages: sampledAdvantages(rewards),
    maxSteps: 1,
    untilChanged: false,
  })
}

interface AscentStep {
  readonly actions: readonly (readonly number[])[]
  readonly advantages: readonly number[]
  readonly maxSteps: number
  readonly untilChanged: boolean
}

async function ascend(search: Search, request: AscentStep): Promise<void> {
  const { task, options, signal } = search
  const { lr, beta1, temperature } = options
  const { latents, adam } = search
  const ascent = { latents, adam, lr, beta1, temperature, ...ADAM, ...request }
  const moved =
    options.direction === 'random'
      ? await wander(task.head, ascent, deriveSeed(deriveSeed(options.seed, search.steps), 1), signal)
      : await task.head.ascend(ascent, signal)
  if (moved.steps < 1) {
    throw new ServiceError('INTERNAL', `seek latents: expected at least one update, got ${moved.steps}`)
  }
  for (let step = 1; step < moved.steps; step++) recordUpdate(search, search.current)
  // A head in half precision can overflow, and the argmax of NaN is not a token of the model.
  if (!isFinite32(moved.latents.data)) {
    search.diverged = true
    recordUpdate(search, search.current)
    return
  }
  search.latents = moved.latents
  search.adam = moved.adam
  search.tokens = moved.tokens
  const [found] = await evaluate(search, [moved.tokens], search.steps + 1)
  recordUpdate(search, found!)
}

/** Judges the answers that grow from `rollouts` at the current latents, and updates the best answer. */
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
  search.sinceRise = winner === search.best ? search.sinceRise + fresh : 0
  search.best = winner
  return found
}

function recordUpdate(search: Search, found: SearchPoint): void {
  const changed = !sameTokens(found.prefix, search.current.prefix)
  search.steps += 1
  search.current = found
  search.rewardHistory.push(found.evaluation.judgement.reward)
  search.task.onUpdate?.({ step: search.steps, found, changed })
}

/** Returns the answer of higher standing, then of higher reward, or P(correct) by a fused judge; on a tie, `first`. */
export function higherReward(first: SearchPoint, second: SearchPoint): SearchPoint {
  return isBetter(second.evaluation.judgement, first.evaluation.judgement) ? second : first
}
