/**
 * @file Thoughts with the states of their tokens, in which only one form of the reward model can see what is right:
 * two layers of states, of which one is scored, four wide.
 */

import type { FormName } from '#algorithms'
import type { LatentThought } from '#ports'
import { createRandom } from '#tensor'

export const LAYERS = 2
export const WIDTH = 4
const TOKENS = 4

/**
 * Returns the thought of an answer. Feature 1 says whether the answer is right: in the mean, in the last token, or in
 * a token that is marked by feature 0. Elsewhere it is noise.
 *
 * @param shownIn the form that can see it
 */
export function tracedThought(
  correct: boolean,
  shownIn: FormName,
  seed: number,
): LatentThought & Required<Pick<LatentThought, 'last' | 'tokens'>> {
  const random = createRandom(seed)
  const noise = (count: number) => Float32Array.from({ length: count }, () => random.gaussian())
  const [data, last, tokens] = [noise(LAYERS * WIDTH), noise(WIDTH), noise(TOKENS * WIDTH)]
  const sign = correct ? 1 : -1
  if (shownIn === 'mean') data[WIDTH + 1] = 3 * sign
  if (shownIn === 'last') last[1] = 3 * sign
  if (shownIn === 'gated') {
    // Unmarked tokens are as likely to say the opposite.
    for (let token = 0; token < TOKENS; token++) {
      tokens[token * WIDTH] = -3 + 0.1 * random.gaussian()
      tokens[token * WIDTH + 1] = 1.5 * random.gaussian()
    }
    const marked = Math.floor(random.uniform() * TOKENS)
    tokens[marked * WIDTH] = 6
    tokens[marked * WIDTH + 1] = 3 * sign
  }
  return { data, layers: LAYERS, width: WIDTH, last, tokens }
}
