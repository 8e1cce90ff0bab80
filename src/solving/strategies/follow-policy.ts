/** @file What `auto` does after a draft under a measured policy of the model profile (`choosePolicy`). */

import { bandOf, type Judgement } from '#algorithms'
import type { PolicyBand } from '#engine'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import type { Settings } from '../settings.ts'
import { bestOfN } from './best-of-n.ts'
import { forkFrom } from './fork.ts'
import { draftOutcome } from './greedy.ts'
import { majority } from './majority.ts'

export interface PolicyStep {
  readonly band: PolicyBand
  /** P(correct) of the answer by the signal of the policy. */
  readonly confidence: number
}

/** The step that a policy takes after an answer; null without a policy, or where its signal is unknown. */
export function policyStep({ policy }: Settings, { fused, correctness }: Judgement): PolicyStep | null {
  if (policy === null) return null
  const confidence = policy.signal === 'judge' ? fused : correctness
  return confidence === undefined || confidence === null
    ? null
    : { band: bandOf(policy.bands, confidence), confidence }
}

/** Runs the step's strategy beside the draft. Not for `latentseek`, the search of `auto` itself. */
export async function followPolicy(context: SolveContext, draft: Draft, step: PolicyStep): Promise<Outcome> {
  const { strategy, samples, selector } = step.band
  const settings = {
    ...context.settings,
    ...(samples !== undefined && { samples }),
    ...(selector !== undefined && { selector }),
  }
  const under = { ...context, settings }
  if (strategy === 'fork') return { ...(await forkFrom(under, draft)), policy: step }
  if (strategy === 'greedy') return { ...draftOutcome(context, draft), stopped: 'reward', policy: step }
  const { evaluations, ...outcome } = await (strategy === 'majority' ? majority(under) : bestOfN(under))
  // They count the draft, which was judged before them.
  return { ...outcome, base: draft.evaluation, evaluations: evaluations - 1, policy: step }
}
