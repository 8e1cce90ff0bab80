/**
 * @file Episodes whose shift from z_base to z* follows a rule that a weaver can learn, by query, position
 * and z_base.
 */

import type { WeaverExample } from '#algorithms'
import type { Latents } from '#ports'
import { createRandom, norm } from '#tensor'
import { placed } from './placed.ts'

export const WIDTH = 8
export const LATENTS = 3
const FAMILIES = 4

/** Weaver options small enough for a test and large enough for the rule. */
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
 * Returns one episode per question. Each family has a noisy embedding direction of its own, and a shift in a
 * feature of its own that grows with the position. A z_base whose last feature is negative was good and has
 * no shift. Lengths cycle through 1 .. LATENTS.
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
      ...placed(`question ${seed} ${index}`, index),
      embedding: direction.map((value) => value / size),
      zBase,
      zStar,
    }
  })
}

function gaussian(length: number, draw: () => number): Latents {
  return { data: Float32Array.from({ length: length * WIDTH }, draw), length, width: WIDTH }
}
