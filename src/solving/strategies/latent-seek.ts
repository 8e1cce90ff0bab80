/** @file `latentseek`: test-time search from the draft alone, without memory (LatentSeek, arXiv 2505.13308). */

import { updateLength } from '#algorithms'
import type { Outcome, SolveContext } from '../context.ts'
import { createMemo, draftPoint, refine } from './refine.ts'

export async function latentSeek(context: SolveContext): Promise<Outcome> {
  const { answers, settings } = context
  const { rho, answerTokens, latents } = settings
  // T is not known yet: as many latents as the search may move, or the episode keep, of the longest answer.
  const begun = await answers.begin({
    maxTokens: Number.POSITIVE_INFINITY,
    latents: Math.max(latents, updateLength(rho, answerTokens)),
  })
  const draft = await answers.finish(begun)
  const first = draftPoint(draft, updateLength(rho, draft.evaluation.answer.tokens.length))
  return refine(context, {
    base: draft.evaluation,
    draftLatents: draft.latents,
    memo: createMemo(context, first),
    known: [first],
    best: first,
  })
}
