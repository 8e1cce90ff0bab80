/**
 * @file Synthetic labelled episodes whose thoughts separate right answers from wrong ones, so that training
 * takes a moment.
 */

import { randomUUID } from 'node:crypto'
import type { EpisodeStore } from '#episodes'
import { createRandom } from '#tensor'
import { newCandidate, newEpisode, unitVector } from './episodes.ts'

export const LAYERS = 3
export const WIDTH = 4

export interface Day {
  readonly questions: number
  /** Labels of the two answers to each question. */
  readonly correct?: readonly [boolean, boolean]
  readonly labelled?: boolean
  /** Number of right answers to each question without a reference, in place of `correct`. */
  readonly sampled?: number
}

let asked = 0

/** Stores and labels episodes of new questions, of model-1 and tenant-a. @returns their ids */
export async function rememberDay(
  episodes: EpisodeStore,
  { questions, correct = [true, false], labelled = true, sampled }: Day,
): Promise<string[]> {
  const ids: string[] = []
  for (let count = 0; count < questions; count++) {
    asked += 1
    const id = randomUUID()
    const answers = sampled === undefined ? correct : Array<boolean>(sampled).fill(true)
    const candidates = answers.map((isRight, index) =>
      newCandidate({
        kind: 'sample',
        chosen: index === 0,
        answer: isRight ? '12' : '13',
        thought: thought(isRight, 2 * asked + index),
      }),
    )
    await episodes.add(
      newEpisode({
        id,
        question: `What is ${asked} x 1?`,
        embedding: unitVector(asked, 8),
        reference: sampled === undefined ? '12' : null,
        candidates,
        admitted: false,
        latents: null,
      }),
    )
    if (labelled) await episodes.index('tenant-a', id)
    ids.push(id)
  }
  return ids
}

/**
 * Features near +1 for right answers and near -1 for wrong ones. Consolidations train with random seeds: a
 * small network separated answers to new questions in all of 300 trainings, with a deviation of 0.5 in nine
 * of ten only.
 */
function thought(correct: boolean, seed: number) {
  const random = createRandom(seed)
  const data = Float32Array.from(
    { length: LAYERS * WIDTH },
    () => (correct ? 1 : -1) + 0.1 * random.gaussian(),
  )
  return { data, layers: LAYERS, width: WIDTH }
}
