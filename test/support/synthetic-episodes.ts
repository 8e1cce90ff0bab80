/** @file Episodes whose shift from z_base to z* follows a rule that a weaver can learn: by query, by position and by z_base. */

import type { WeaverExample } from '#algorithms'
import type { Latents } from '#ports'
import { createRandom, norm } from '#tensor'

export const WIDTH = 8
export const LATENTS = 3
const FAMILIES = 4

/** Small enough for a test, large enough for the rule. */
export const SMALL = {
  latents: LATENTS,
  hidden: 32,
  blocks: 1,
  epochs: 60,
  batch: 32,
  lr: 1e-2,
  patience: 60,
}

/**
 * One episode per question. A family's embedding is a noisy direction of its own, its shift a feature of its own that grows with the
 * position; a z_base that points down in its last feature was good and stays. Lengths go round 1 .. LATENTS.
 */
export function syntheticEpisodes(questions: number, seed = 1): WeaverExample[] {
  return Array.from({ length: questions }, (_, index) => {
    const random = createRandom(seed, index)
    const family = index % FAMILIES
    const direction = Float32Array.from({ length: WIDTH }, (_, feature) =>
      feature === family ? 1 : 0.1 * random.gaussian(),
    )
    const length = 1 + (index % LATENTS)
    const zBase = gaussian(length, () => random.gaussian())
    const isGood = random.uniform() < 0.3
    for (let position = 0; position < length; position++) {
      zBase.data[(position + 1) * WIDTH - 1] = (isGood ? -2 : 2) + 0.3 * random.gaussian()
    }
    const zStar = { ...zBase, data: zBase.data.slice() }
    for (let position = 0; position < length && !isGood; position++) {
      zStar.data[position * WIDTH + family]! += 1 + position / 2
    }
    const size = norm(direction)
    return {
      question: `question ${seed} ${index}`,
      embedding: direction.map((value) => value / size),
      ...{ zBase, zStar },
    }
  })
}

function gaussian(length: number, draw: () => number): Latents {
  return { data: Float32Array.from({ length: length * WIDTH }, draw), length, width: WIDTH }
}
