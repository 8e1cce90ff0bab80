/**
 * @file `auto`: draft, weave, transfer, refine (LatentEvolve, arXiv 2509.24771, Eq. 8).
 *
 * Deviates: weaver and memory never cost an answer that was good without them. With a full draft they act only after it has
 * failed (the gate); with a lazy one they answer first, and the draft is finished unless they pass. Refinement is argmax
 * with one rollout unless the profile says otherwise (the paper samples 8 at learning rate .3). Where there is a measured
 * policy, that of the active fused judge before that of the profile, it decides after the draft, and after what memory led
 * to, which answers are good enough and what to do else. Without one, samples vote beside a draft that does not pass, unless
 * the profile says that the search pays: on real models it was never seen to. A draft that is good enough is returned without
 * memory, unless a caller has called another answer to a near-identical question right: then that episode alone leads, and its
 * answer, if it is reached, is returned, however sure the draft is. A draft that callers called wrong when the same question
 * came before is not good enough.
 */

import {
  compareStandings,
  hasPassed,
  higherReward,
  type Judgement,
  MAX_POSITIONS,
  type SearchPoint,
  takeLatents,
} from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import type { Settings } from '../settings.ts'
import { followPolicy, policyStep, voteBeside } from './follow-policy.ts'
import { createMemo, draftPoint, refine } from './refine.ts'

export async function auto(context: SolveContext): Promise<Outcome> {
  const { settings, answers, memory } = context
  const { latents } = settings
  const isLazy = memory.mayLead && settings.draft === 'lazy' && settings.policy === null
  const [neighbours, begun] = await Promise.all([
    memory.retrieve(),
    answers.begin({
      maxTokens: isLazy ? latents : Number.POSITIVE_INFINITY,
      latents: settings.policy === null ? latents : Math.max(latents, MAX_POSITIONS),
    }),
  ])
  const passes = ({ evaluation: { judgement } }: SearchPoint) => {
    const step = policyStep(settings, judgement)
    return step === null ? hasPassed(judgement, settings.stopReward) : step.band.strategy === 'greedy'
  }
  const memo = createMemo(context, null)
  const zBase = takeLatents(begun.latents, latents)
  const warmStart = memory.warmStart({ zBase, tokens: begun.tokens, neighbours, memo, answers })
  if (isLazy && differs(await warmStart.prefix(), begun.tokens)) {
    const led = await warmStart.point()
    if (led !== null && passes(led)) {
      return refine(context, {
        base: null,
        draftLatents: begun.latents,
        memo,
        known: [led],
        best: led,
        movedBy: warmStart.movedBy,
      })
    }
  }
  const draft = await answers.finish(begun)
  const first = draftPoint(draft, latents)
  memo.remember(first.prefix, first.evaluation)
  const told = await memory.contradicting(draft.evaluation.answer.answer)
  const start =
    told === null
      ? warmStart
      : memory.warmStart({
          zBase,
          tokens: draft.evaluation.answer.tokens,
          neighbours: [{ ...told, weight: 1 }],
          memo,
          answers,
        })
  const led = told === null && passes(first) ? null : await start.point()
  const isTold = led !== null && led.evaluation.answer.answer === told?.neighbour.confirmed?.answer
  const { judgement } = draft.evaluation
  const step = policyStep(settings, judgement)
  // The band of an answer may stop because nothing pays there: an answer that is less sure than the draft leads nowhere, unless
  // the draft is refuted.
  const isLed =
    isTold || (led !== null && passes(led) && isSurer(settings, led.evaluation.judgement, judgement))
  if (step !== null && step.band.strategy !== 'latentseek' && !isLed)
    return followPolicy(context, draft, step)
  const known = led === null ? [first] : [first, led]
  if (step === null && !settings.searchPays && !known.some(passes)) return voteBeside(context, draft)
  // What a caller or the policy takes for good enough is not searched on, whatever its reward.
  const searched = isLed ? { ...context, settings: { ...settings, maxIterations: 0 } } : context
  const outcome = await refine(searched, {
    base: draft.evaluation,
    draftLatents: draft.latents,
    memo,
    known,
    best: isLed ? led : known.reduce(higherReward),
    movedBy: led === null ? [] : start.movedBy,
  })
  return step === null ? outcome : { ...outcome, policy: step }
}

/** Whether a policy is surer of an answer than of the draft. It is of any where the draft is refuted. */
function isSurer(settings: Settings, led: Judgement, draft: Judgement): boolean {
  const [theirs, own] = [policyStep(settings, led), policyStep(settings, draft)]
  if (theirs === null) return false
  return compareStandings(led, draft) > 0 || (own !== null && theirs.confidence > own.confidence)
}

/** Whether an answer that begins with `prefix` differs from the draft that begins with `tokens`. */
function differs(prefix: readonly number[] | null, tokens: readonly number[]): boolean {
  return prefix?.some((token, index) => token !== tokens[index]) ?? false
}
