/** @file `greedy`: the draft and nothing else. */

import { takeLatents } from '#algorithms'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import type { Stopped } from '../contract.ts'

export async function greedy(context: SolveContext): Promise<Outcome> {
  const { answers, settings } = context
  const begun = await answers.begin({ maxTokens: Number.POSITIVE_INFINITY, latents: settings.latents })
  return draftOutcome(context, await answers.finish(begun))
}

/** The outcome of a request that ends with its draft. */
export function draftOutcome(context: SolveContext, draft: Draft): Outcome {
  const { evaluation, latents } = draft
  const kept = takeLatents(latents, context.settings.latents)
  const { reward } = evaluation.judgement
  return {
    chosen: evaluation,
    base: evaluation,
    stopped: stoppedAtDraft(context, draft),
    iterations: 0,
    evaluations: 0,
    rewardHistory: [reward],
    latents: kept.length === 0 ? null : { zBase: kept, zStar: kept },
    trajectory: kept.length === 0 ? [] : [{ step: 0, latents: kept, evaluation }],
  }
}

function stoppedAtDraft({ signal }: SolveContext, { evaluation }: Draft): Stopped {
  const { finish } = evaluation.answer
  if (signal.aborted || finish === 'aborted') return 'maxMs'
  return finish === 'length' ? 'maxNewTokens' : 'single'
}
