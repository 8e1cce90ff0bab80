/**
 * @file z*, the latents of a returned answer as episodes keep them.
 *
 * Papers: LatentEvolve (arXiv 2509.24771) stores (e_c, z_base, z*); LatentSeek (arXiv 2505.13308), Eq. 6-7, is the update used here.
 * Deviates: margin steps are ours. The search stops just across the decision margin, and the mean of such neighbours'
 * shifts then often fails to flip; a few updates towards the returned tokens put them clear of it.
 */

import type { AdamState, LatentHead, Latents } from '#ports'
import { takeLatents, throughFloat16 } from '../latents.ts'
import { ADAM, freshAdam } from './ascent.ts'
import { sameTokens } from './prefix.ts'

export interface MarginOptions {
  readonly lr: number
  readonly beta1: number
  readonly temperature: number
  /** Updates with reward +1 before the first look, and (at least one) before each look after it. */
  readonly steps: number
  /** Looks before the first update: latents that decode to the answer already stay as they are. */
  readonly lookFirst: boolean
}

/** Looks after the first. */
const MAX_REPEATS = 4

/**
 * Moves latents towards the tokens of the answer they led to, until they decode to them after half-precision storage.
 *
 * @param latents `[S, D]`, S at least `prefix.length`; not modified.
 * @param prefix the returned answer's first tokens, EOS last when it ended there.
 * @returns latents `[prefix.length, D]`, already rounded to half precision, whose argmax is `prefix`; null when the bound was
 *   reached before, so nothing should be stored.
 * @throws ServiceError ABORTED when `signal` fires.
 */
export async function widenMargin(
  head: LatentHead,
  latents: Latents,
  prefix: readonly number[],
  options: MarginOptions,
  signal: AbortSignal,
): Promise<Latents | null> {
  let moved = takeLatents(latents, prefix.length)
  let adam = freshAdam(moved)
  for (let repeat = 0; repeat <= MAX_REPEATS; repeat++) {
    const first = options.lookFirst ? 0 : options.steps
    const steps = repeat === 0 ? first : Math.max(1, options.steps)
    if (steps > 0) {
      const pulled = await pull(head, moved, adam, prefix, { ...options, steps }, signal)
      moved = pulled.latents
      adam = pulled.adam
    }
    const stored = throughFloat16(moved)
    if (!stored.data.every(Number.isFinite)) return null
    if (sameTokens(await head.decode(stored, signal), prefix)) return stored
  }
  return null
}

function pull(
  head: LatentHead,
  latents: Latents,
  adam: AdamState,
  prefix: readonly number[],
  { lr, beta1, temperature, steps }: MarginOptions,
  signal: AbortSignal,
) {
  return head.ascend(
    {
      ...ADAM,
      latents,
      adam,
      lr,
      beta1,
      temperature,
      actions: [prefix],
      advantages: [1],
      maxSteps: steps,
      untilChanged: false,
    },
    signal,
  )
}
