/**
 * @file Computes z*, the latents that an episode stores for the returned answer.
 *
 * Papers: LatentEvolve (arXiv 2509.24771) stores (e_c, z_base, z*). The update is that of LatentSeek (arXiv
 * 2505.13308), Eq. 6-7.
 * Deviates: margin steps are ours. The search stops just beyond the decision margin, and the mean of such
 * neighbours' shifts is then often too small to change the token; a few updates towards the returned tokens
 * widen the margin.
 */

import type { AdamState, LatentHead, Latents } from '#ports'
import { isFinite32 } from '#tensor'
import { takeLatents, throughFloat16 } from '../latents.ts'
import { ADAM, freshAdam } from './ascent.ts'
import { sameTokens } from './prefix.ts'

export interface MarginOptions {
  readonly lr: number
  readonly beta1: number
  readonly temperature: number
  /** Number of updates with reward +1 before the first check, and (at least one) before each later check. */
  readonly steps: number
  /** True: checks before the first update, so latents that already decode to the answer stay unchanged. */
  readonly lookFirst: boolean
}

/** Upper bound on the number of checks after the first. */
const MAX_REPEATS = 4

/**
 * Moves latents towards the tokens of the answer that they led to, until they decode to these tokens after
 * storage in half precision.
 *
 * @param latents `[S, D]`, S at least `prefix.length`; not modified.
 * @param prefix first tokens of the returned answer, EOS last when the answer ended there.
 * @returns latents `[prefix.length, D]`, already rounded to half precision, whose argmax is `prefix`; null
 *   when no check within the bound succeeded or half precision cannot hold the latents, so nothing should be
 *   stored.
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
    if (!isFinite32(stored.data)) return null
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
