/** @file `latentseek`: test-time search from the draft alone, without memory (LatentSeek, arXiv 2505.13308). */

import { hasPassed, MAX_POSITIONS, type Places, rankPositions, takeLatents, updateLength } from '#algorithms'
import { hasCode } from '#errors'
import type { Draft } from '../answers.ts'
import type { Outcome, SolveContext } from '../context.ts'
import { createMemo, draftPoint, refine } from './refine.ts'

export async function latentSeek(context: SolveContext): Promise<Outcome> {
  const { answers, settings } = context
  const { rho, answerTokens, latents, positions } = settings
  const places = positions ?? 'prefix'
  // T is not known yet: as many latents as the search may move, or the episode keep, of the longest answer.
  const moved = places === 'prefix' ? updateLength(rho, answerTokens) : MAX_POSITIONS
  const begun = await answers.begin({
    maxTokens: Number.POSITIVE_INFINITY,
    latents: Math.max(latents, moved),
  })
  const draft = await answers.finish(begun)
  const { tokens } = draft.evaluation.answer
  const start = places === 'prefix' ? 0 : await findStart(context, draft, places)
  const first = draftPoint(draft, updateLength(rho, tokens.length), start)
  const before = tokens.slice(0, start)
  return refine(context, {
    base: draft.evaluation,
    draftLatents: draft.latents,
    memo: createMemo(context, first, before),
    known: [first],
    best: first,
    before,
  })
}

/**
 * Returns the position at which the moved latents begin: the first choice of `places` in the first half of the draft
 * (the paper finds later beginnings worse, table 13); 0 where nothing will be searched.
 */
async function findStart(
  { head, settings, seed, signal, state }: SolveContext,
  { evaluation, latents }: Draft,
  places: Places,
): Promise<number> {
  if (hasPassed(evaluation.judgement, settings.stopReward)) return 0
  const firstHalf = takeLatents(latents, Math.ceil(evaluation.answer.tokens.length / 2))
  try {
    const read = await state.meter.time(
      'optimizeMs',
      () => head.distributions(firstHalf, 1, signal),
      'entropies',
    )
    const entropies = read.map(({ entropy }) => entropy)
    return rankPositions(entropies, places, seed)[0] ?? 0
  } catch (error) {
    // The search sees that the time is up, and returns the draft.
    if (hasCode(error, 'ABORTED') && signal.aborted) return 0
    throw error
  }
}
