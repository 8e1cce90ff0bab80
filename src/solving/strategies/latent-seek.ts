/** @file `latentseek`: test-time search from the draft alone, without memory (LatentSeek, arXiv 2505.13308). */

import { MAX_POSITIONS, type Places, rankPositions, updateLength } from '#algorithms'
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
  const start = places === 'prefix' ? 0 : findStart(draft, places, context.seed)
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
 * Returns the position at which the moved latents begin: the first choice in the first half of the draft (the paper
 * finds later beginnings worse, table 13).
 */
function findStart({ evaluation, latents }: Draft, places: Places, seed: number): number {
  const { tokens, signals } = evaluation.answer
  const length = Math.min(latents.length, Math.ceil(tokens.length / 2))
  return rankPositions(signals?.entropies.subarray(0, length) ?? [], places, seed)[0] ?? 0
}
