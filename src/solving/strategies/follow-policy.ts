/** @file What `auto` does after a draft: by a measured policy, of the fused judge or of the model profile (`choosePolicy`), else a vote. */

import {
  bandOf,
  type Evaluation,
  isSettled,
  type Judgement,
  roundsOf,
  VOTES_OF_AUTO,
  votesFor,
} from '#algorithms'
import { hasCode } from '#errors'
import type { Policy, PolicyArm, PolicyBand } from '#ports'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'
import type { Settings } from '../settings.ts'
import { chooseBest } from './best-of-n.ts'
import { forkFrom } from './fork.ts'
import { draftOutcome } from './greedy.ts'
import { elect, sampleOutcome } from './majority.ts'

export interface PolicyStep extends Pick<Policy, 'signal'> {
  readonly band: PolicyBand
  /** P(correct) of the answer by the signal of the policy. */
  readonly confidence: number
}

/**
 * The step that a policy takes after an answer; null without a policy, or where its signal is unknown. After a refuted answer,
 * whose P(correct) says nothing, the next lower band that does not stop decides, else the next higher one; null without such a
 * band.
 */
export function policyStep({ policy }: Settings, judgement: Judgement): PolicyStep | null {
  if (policy === null) return null
  const { signal, bands } = policy
  const confidence = confidenceBy(signal, judgement)
  if (confidence === null) return null
  if (judgement.standing === undefined) return { signal, band: bandOf(bands, confidence), confidence }
  const goingOn = bands.filter(({ strategy }) => strategy !== 'greedy')
  return goingOn.length === 0 ? null : { signal, band: bandOf(goingOn, confidence), confidence }
}

/** P(correct) of an answer by a signal; null: it has none. */
function confidenceBy(signal: Policy['signal'], { fused, correctness }: Judgement): number | null {
  return signal === 'judge' ? (fused ?? null) : correctness
}

/**
 * Runs the step's strategy beside the draft. Not for `latentseek`, the search of `auto` itself. The draft is one of the candidates
 * that a vote or a selector chooses among: it has been paid for, and greedy answers are right more often than samples. It is
 * returned, too, where nothing is left to decode samples, or the time is up before they are judged.
 */
export async function followPolicy(context: SolveContext, draft: Draft, step: PolicyStep): Promise<Outcome> {
  const { signal, band } = step
  const { samples = context.settings.samples } = band
  if (band.strategy === 'fork') {
    const settings = { ...context.settings, samples }
    return { ...(await forkFrom({ ...context, settings }, draft)), policy: step }
  }
  if (band.strategy === 'greedy') {
    return { ...draftOutcome(context, draft), policy: step, stopped: 'reward' }
  }
  const outcome = await sampleBeside(context, draft, {
    arm: { ...band, samples },
    confidenceOf: (judgement) => confidenceBy(signal, judgement),
  })
  return { ...outcome, policy: step }
}

/**
 * Lets samples vote beside the draft, in rounds that end when three answers agree; the score of the profile breaks ties, by default
 * the mean log-probability. This is what `auto` does where nothing was measured: on the real models that were tried, such a vote was
 * better than the draft or as good, and what the model's own verdict chose was worse (docs/benchmarks.md).
 */
export function voteBeside(context: SolveContext, draft: Draft): Promise<Outcome> {
  const { samples, ties } = context.settings
  const arm = { strategy: 'majority', samples, selector: ties, stopVotes: VOTES_OF_AUTO } as const
  return sampleBeside(context, draft, { arm, confidenceOf: () => null })
}

interface Sampling {
  readonly arm: PolicyArm
  /** P(correct) by which rounds end; null: it is unknown. */
  readonly confidenceOf: (judgement: Judgement) => number | null
}

async function sampleBeside(context: SolveContext, draft: Draft, sampling: Sampling): Promise<Outcome> {
  const kept = draftOutcome(context, draft)
  if (draft.evaluation.answer.finish === 'aborted') return kept
  const { chosen, limit } = await sampleInRounds(context, draft.evaluation, sampling)
  const outcome = sampleOutcome(context, chosen)
  const stopped = limit ?? outcome.stopped
  if (chosen.answer !== draft.evaluation.answer) return { ...outcome, base: draft.evaluation, stopped }
  return { ...kept, chosen, base: chosen, evaluations: outcome.evaluations, stopped }
}

/**
 * Samples beside the draft, in rounds where the arm has thresholds, and chooses after each round.
 *
 * @returns what was chosen last, and which limit ended the rounds; null: none
 */
async function sampleInRounds(
  context: SolveContext,
  draft: Evaluation,
  { arm, confidenceOf }: Sampling,
): Promise<{ readonly chosen: Evaluation; readonly limit: Stopped | null }> {
  const { answers, settings } = context
  const { strategy, selector } = arm
  const choose = (among: readonly Evaluation[]) =>
    strategy === 'majority'
      ? elect(context, among, selector)
      : chooseBest(context, among, selector ?? settings.selector)
  let candidates: readonly Evaluation[] = [draft]
  let chosen = draft
  let sampled = 0
  for (const count of roundsOf(arm)) {
    if (answers.isExhausted(1)) return { chosen, limit: 'maxNewTokens' }
    const round = await unlessTimeIsUp(context.signal, async () => {
      const all = await answers.sample(count - sampled, candidates)
      return { all, best: await choose(all) }
    })
    if (round === null) return { chosen, limit: 'maxMs' }
    candidates = round.all
    chosen = round.best
    sampled = count
    // The P(correct) and the votes of a refuted answer say nothing.
    const isComparable = chosen.judgement.standing === undefined
    const votes = votesFor(
      chosen.answer.answer,
      candidates.map(({ answer }) => answer),
    )
    if (isComparable && isSettled(arm, { confidence: confidenceOf(chosen.judgement), votes })) break
  }
  return { chosen, limit: answers.isExhausted(1) ? 'maxNewTokens' : null }
}

/** Returns null when the time is up: what was sampled by then is not judged. */
async function unlessTimeIsUp<Result>(
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result | null> {
  try {
    const result = await work()
    return signal.aborted ? null : result
  } catch (error) {
    if (hasCode(error, 'ABORTED') && signal.aborted) return null
    throw error
  }
}
