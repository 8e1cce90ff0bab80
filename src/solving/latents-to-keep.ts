/** @file What an episode remembers of a search: z_base and z* (LatentEvolve, arXiv 2509.24771, section 4.1). */

import { isAdmitted, type SearchPoint, takeLatents, widenMargin } from '#algorithms'
import type { LatentPair } from '#episodes'
import { hasCode } from '#errors'
import type { Draft, UnfinishedDraft } from './draft.ts'
import type { Run } from './run.ts'

/**
 * At most `settings.latents` positions; z* of a changed answer decodes to it as the store rounds it. A draft that was good is
 * worth remembering too (z* = z_base): it teaches when to do nothing, and its shift is zero however it is rounded.
 *
 * @returns null when nothing is kept, the answer is not admitted, or no z* within the bound decodes to it.
 */
export async function latentsToKeep(
  run: Run,
  draft: Draft | UnfinishedDraft,
  best: SearchPoint,
): Promise<LatentPair | null> {
  const { request, settings, engine, signal } = run
  if (!request.learn || !isAdmitted(best.evaluation.judgement, settings.admitReward)) return null
  if (best.evaluation === draft.evaluation) {
    const kept = takeLatents(draft.latents, settings.latents)
    return { zBase: kept, zStar: kept }
  }
  const prefix = best.prefix.slice(0, settings.latents)
  const { lr, beta1, marginSteps } = settings
  // Latents that memory alone set are kept as they are: widening them every time would let the shift grow without end.
  const options = { lr, beta1, temperature: 1, steps: marginSteps, lookFirst: best.step === 0 }
  try {
    const zStar = await widenMargin(engine.head, best.latents, prefix, options, signal)
    return zStar && { zBase: takeLatents(draft.latents, zStar.length), zStar }
  } catch (error) {
    // The answer is there and in time; only what it could teach is not.
    if (hasCode(error, 'ABORTED')) return null
    throw error
  }
}
