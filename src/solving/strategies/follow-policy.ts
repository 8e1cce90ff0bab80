/** @file What `auto` does after a draft under a measured policy, of the fused judge or of the model profile (`choosePolicy`). */

import { bandOf, type Judgement } from '#algorithms'
import { hasCode } from '#errors'
import type { Policy, PolicyBand } from '#ports'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import type { Settings } from '../settings.ts'
import { bestOfN } from './best-of-n.ts'
import { forkFrom } from './fork.ts'
import { draftOutcome } from './greedy.ts'
import { majority } from './majority.ts'

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
export function policyStep(
  { policy }: Settings,
  { fused, correctness, standing }: Judgement,
): PolicyStep | null {
  if (policy === null) return null
  const { signal, bands } = policy
  const confidence = signal === 'judge' ? fused : correctness
  if (confidence === undefined || confidence === null) return null
  if (standing === undefined) return { signal, band: bandOf(bands, confidence), confidence }
  const goingOn = bands.filter(({ strategy }) => strategy !== 'greedy')
  return goingOn.length === 0 ? null : { signal, band: bandOf(goingOn, confidence), confidence }
}

/**
 * Runs the step's strategy beside the draft. Not for `latentseek`, the search of `auto` itself. The draft is one of the candidates
 * that a vote or a selector chooses among: it has been paid for, and greedy answers are right more often than samples. It is
 * returned, too, where nothing is left to decode samples, or the time is up before they are judged.
 */
export async function followPolicy(context: SolveContext, draft: Draft, step: PolicyStep): Promise<Outcome> {
  const { strategy, samples, selector } = step.band
  const settings = {
    ...context.settings,
    ...(samples !== undefined && { samples }),
    ...(selector !== undefined && { selector }),
  }
  const under = { ...context, settings }
  if (strategy === 'fork') return { ...(await forkFrom(under, draft)), policy: step }
  const kept = { ...draftOutcome(context, draft), policy: step }
  if (strategy === 'greedy') return { ...kept, stopped: 'reward' }
  if (draft.evaluation.answer.finish === 'aborted') return kept
  if (context.answers.isExhausted(1)) return { ...kept, stopped: 'maxNewTokens' }
  const elected = await unlessTimeIsUp(context.signal, () =>
    strategy === 'majority' ? majority(under, draft.evaluation) : bestOfN(under, draft.evaluation),
  )
  if (elected === null) return { ...kept, stopped: 'maxMs' }
  const { chosen, evaluations } = elected
  if (chosen?.answer !== draft.evaluation.answer) return { ...elected, base: draft.evaluation, policy: step }
  const stopped = context.answers.isExhausted(1) ? 'maxNewTokens' : elected.stopped
  return { ...kept, chosen, base: chosen, evaluations, stopped }
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
