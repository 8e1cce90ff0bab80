/**
 * @file `fork`: branches of the draft at its least certain tokens, completed greedily; the answer with the highest
 * P(correct) by the fused judge is returned, without such a judge that of the highest reward.
 *
 * Papers: ReasonMaxxer (arXiv 2605.06241) finds that the tokens that decide stand at few positions of high entropy,
 * among the five most likely.
 * Deviates: that paper trains at these positions; here nothing is trained, and the judge chooses.
 */

import {
  chooseForks,
  type Evaluation,
  type Fork,
  hasPassed,
  isBetter,
  latentsAt,
  MAX_POSITIONS,
  rankPositions,
  takeLatents,
} from '#algorithms'
import { hasCode } from '#errors'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'
import { draftOutcome } from './greedy.ts'

/** Number of most likely tokens of a position that a branch may begin with, that of the draft included. */
const LIKELY_TOKENS = 5

/**
 * Branches of the first round; each further round has twice as many. Small rounds decode fewer branches after one that
 * passes, large ones more tokens a second. On the bundled model (100 questions, 8 branches) these rounds decode 83 tokens a
 * question, rounds of two 78, and rounds of four 98.
 */
const FIRST_ROUND = 2

/** The answers judged so far. */
interface Search {
  best: Evaluation
  /** Branch of the best answer; null: it is the draft. */
  fork: Fork | null
  /** Number of branches judged. */
  branches: number
  /** Reward of the best answer after the draft and after each round. */
  readonly rewardHistory: number[]
}

export async function fork(context: SolveContext): Promise<Outcome> {
  const { answers } = context
  const begun = await answers.begin({
    maxTokens: Number.POSITIVE_INFINITY,
    latents: MAX_POSITIONS,
  })
  return forkFrom(context, await answers.finish(begun))
}

/** Forks a judged draft, at most at the positions of its latents. */
export async function forkFrom(context: SolveContext, draft: Draft): Promise<Outcome> {
  const { state } = context
  if (draft.evaluation.answer.finish === 'aborted') return draftOutcome(context, draft)
  const { evaluation } = draft
  const search: Search = {
    best: evaluation,
    fork: null,
    branches: 0,
    rewardHistory: [evaluation.judgement.reward],
  }
  return state.meter.time('optimizeMs', async () => {
    const stopped = await judgeBranches(context, draft, search)
    return {
      ...draftOutcome(context, draft),
      stopped,
      chosen: search.best,
      iterations: search.rewardHistory.length - 1,
      evaluations: search.branches,
      rewardHistory: search.rewardHistory,
      latents: await latentsToKeep(context, draft, search),
    }
  })
}

/** Completes and judges the branches of the draft, a round in one batch, until one passes or a budget is spent. */
async function judgeBranches(context: SolveContext, draft: Draft, search: Search): Promise<Stopped> {
  const { answers, settings, signal, emit } = context
  const passes = () => hasPassed(search.best.judgement, settings.stopReward)
  const { tokens } = draft.evaluation.answer
  try {
    const forks = passes() ? [] : await forksOf(context, draft)
    // No reward is above 0: where nothing can pass, one batch is the fastest.
    const mayPass = settings.stopReward < 0 || search.best.judgement.fused !== undefined
    let size = mayPass ? FIRST_ROUND : Math.max(1, forks.length)
    for (let rounds = 0; ; rounds++, size *= 2) {
      if (passes()) return 'reward'
      if (signal.aborted) return 'maxMs'
      if (search.branches === forks.length) return 'noImprovement'
      if (rounds === settings.maxIterations) return 'maxIterations'
      const round = forks.slice(search.branches, search.branches + size)
      if (answers.isExhausted(round.length)) return 'maxNewTokens'
      const found = await answers.complete(
        round.map(({ position, token }) => [...tokens.slice(0, position), token]),
        round.map(({ probability }) => Math.log(probability)),
      )
      const before = search.best
      for (const [index, evaluation] of found.entries()) {
        if (!isBetter(evaluation.judgement, search.best.judgement)) continue
        search.best = evaluation
        search.fork = round[index]!
      }
      search.branches += round.length
      const { reward } = search.best.judgement
      search.rewardHistory.push(reward)
      const { answer } = search.best.answer
      emit({
        event: 'iteration',
        data: { step: rounds + 1, changed: search.best !== before, reward, answer },
      })
    }
  } catch (error) {
    if (hasCode(error, 'ABORTED') && signal.aborted) return 'maxMs'
    throw error
  }
}

async function forksOf({ head, settings, seed, signal }: SolveContext, { evaluation, latents }: Draft) {
  const { tokens, signals } = evaluation.answer
  const entropies = signals?.entropies.subarray(0, latents.length) ?? []
  const { samples } = settings
  const places = rankPositions(entropies, settings.positions ?? 'entropy', seed).slice(0, samples)
  if (places.length === 0) return []
  const likely = await head.likelyTokens(latentsAt(latents, places), LIKELY_TOKENS, signal)
  return chooseForks(tokens, places, likely, samples)
}

/**
 * A branch is the greedy answer from its first tokens, so an episode can keep it by latents that decode to these. It keeps
 * none of a branch that begins behind the positions of an episode.
 */
async function latentsToKeep(
  { memory, settings }: SolveContext,
  { latents }: Draft,
  { best, fork, rewardHistory }: Search,
): Promise<Outcome['latents']> {
  const length = fork === null ? settings.latents : fork.position + 1
  if (length > settings.latents || latents.length === 0) return null
  const kept = takeLatents(latents, length)
  const prefix = best.answer.tokens.slice(0, kept.length)
  const point = { evaluation: best, latents: kept, prefix, step: rewardHistory.length - 1 }
  return memory.latentsToKeep(latents, point, fork === null)
}
