/**
 * @file Moves latents in a random direction: the control of a search by gradient, with the same length of step,
 * the same choice of answers and the same stop.
 *
 * Papers: GradCuit (arXiv 2608.02585) finds random directions within 2.4 points of LatentSeek's gradient.
 */

import type { AscentRequest, AscentResult, LatentHead } from '#ports'
import { createRandom } from '#tensor'
import { sameTokens } from './prefix.ts'

/**
 * Adds +lr or -lr, drawn once per coordinate, in every step: the length of Adam's first update. Goes on in the
 * same direction until the argmax tokens differ from the actions, or for `maxSteps` steps. Leaves the state of
 * Adam as it is, and runs the LM head forward only.
 */
export async function wander(
  head: LatentHead,
  { latents, adam, lr, actions, untilChanged, maxSteps }: AscentRequest,
  seed: number,
  signal: AbortSignal,
): Promise<AscentResult> {
  const random = createRandom(seed)
  const direction = Float32Array.from(latents.data, () => (random.uniform() < 0.5 ? -lr : lr))
  for (let step = 1; ; step++) {
    const data = latents.data.map((value, index) => value + step * (direction[index] ?? 0))
    const moved = { ...latents, data }
    const tokens = await head.decode(moved, signal)
    const isChanged = untilChanged && !sameTokens(tokens, actions[0] ?? [])
    if (step === maxSteps || isChanged) return { latents: moved, adam, tokens, steps: step }
  }
}
