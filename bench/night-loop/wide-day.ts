/**
 * @file A day of a model that does not exist, as wide as one of 7B parameters: episodes with labelled thoughts
 * and latents, written through the service's own store.
 */

import { randomUUID } from 'node:crypto'
import type { Database } from '#database'
import { createEpisodeStore } from '#episodes'
import { createRandom, norm } from '#tensor'

/** Fingerprint of the model. */
export const WIDE_MODEL = 'artificial-7b'
/** States of a thought (28 layers and the embeddings), and the width of a state. */
export const LAYERS = 29
export const WIDTH = 3584
/** Positions of an episode's latents: the default of the service. */
const LATENTS = 15
const ANSWERS_EACH = 4
const SEED = 71

/**
 * Writes episodes of four labelled answers each, `answers` thoughts in all, and their latents. Right answers
 * have a direction in common, so that both networks learn.
 */
export async function rememberWideDay(database: Database, answers: number): Promise<number> {
  const store = createEpisodeStore({ database })
  const random = createRandom(SEED)
  const noise = Float32Array.from({ length: 4 * LAYERS * WIDTH }, () => random.gaussian())
  const direction = Float32Array.from({ length: LAYERS * WIDTH }, () => 0.02 * random.gaussian())
  /** A stretch of the noise from a random place: drawing all of it anew would take minutes. */
  const draw = (length: number) => {
    const start = Math.floor(random.uniform() * (noise.length - length))
    return noise.slice(start, start + length)
  }
  const episodes = Math.ceil(answers / ANSWERS_EACH)
  for (let episode = 0; episode < episodes; episode++) {
    const id = randomUUID()
    const embedding = draw(WIDTH)
    const length = norm(embedding)
    const zBase = draw(LATENTS * WIDTH)
    const zStar = zBase.map((value, index) => value + 0.1 * direction[index % WIDTH]!)
    await store.add({
      id,
      tenantId: 'bench',
      fingerprint: WIDE_MODEL,
      judgeFingerprint: 'bench',
      answerRules: '',
      modelId: WIDE_MODEL,
      strategy: 'majority',
      question: `What is ${episode} x ${episode + 1}?`,
      reference: '1',
      embedding: embedding.map((value) => value / length),
      answer: '1',
      reasoning: 'The answer is 1.',
      reward: -0.01,
      baseReward: -0.5,
      iterations: 1,
      evaluations: ANSWERS_EACH,
      generatedTokens: 64,
      stopped: 'reward',
      seed: episode,
      admitted: true,
      candidates: Array.from({ length: ANSWERS_EACH }, (_, position) => {
        const isRight = position === 0 || random.uniform() < 0.5
        const data = draw(LAYERS * WIDTH)
        for (let index = 0; index < data.length; index++)
          data[index]! += (isRight ? 1 : -1) * direction[index]!
        return {
          kind: 'sample',
          tokens: [1, 2, 3],
          text: 'The answer is 1.',
          answer: isRight ? '1' : '2',
          reward: isRight ? -0.01 : -0.9,
          rewardTerms: { verifier: isRight ? -0.01 : -0.9 },
          logProbability: -0.1,
          selfCertainty: 12,
          chosen: position === 0,
          meetsAdmission: isRight,
          thought: { data, layers: LAYERS, width: WIDTH },
        } as const
      }),
      latents: {
        zBase: { data: zBase, length: LATENTS, width: WIDTH },
        zStar: { data: zStar, length: LATENTS, width: WIDTH },
      },
    })
    await store.index('bench', id)
  }
  return episodes
}
