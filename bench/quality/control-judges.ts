/**
 * @file Control rewards for benches: what the search does when its reward knows everything, or nothing.
 * They implement `Judge` like any other reward, and no request can ask for one.
 */

import type { Judge, Judgement } from '#algorithms'
import { createRandom } from '#tensor'

/** 0 for the right answer, -1 for any other: an upper bound, never a product claim (LatentSeek, table 3). */
export function createPerfectJudge(reference: string): Judge {
  return each((answer) => {
    const correctness = answer === reference ? 1 : 0
    return { reward: correctness - 1 || 0, terms: { perfect: correctness - 1 || 0 }, correctness }
  })
}

/**
 * -1 whatever the answer: what blind pushing away is worth (LatentSeek, table 7). One judge per request.
 *
 * Every answer is a billionth above the one before, so that of equals the last one is returned, as the published code does;
 * returning the first would only ever give the draft back.
 */
export function createConstantJudge(): Judge {
  let judged = 0
  return each(() => {
    const reward = -1 + judged++ * 1e-9
    return { reward, terms: { constant: reward }, correctness: 0 }
  })
}

/** Uniform in (-1, 0], seeded: what the best of several tries is worth when nobody can tell them apart. */
export function createRandomJudge(seed: number): Judge {
  const random = createRandom(seed)
  return each(() => {
    const reward = -random.uniform() || 0
    return { reward, terms: { random: reward }, correctness: null }
  })
}

function each(judge: (answer: string | null) => Judgement): Judge {
  return { judge: async (answers) => answers.map(({ answer }) => judge(answer)) }
}
