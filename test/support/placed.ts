/** @file Parts of synthetic examples, by the number of their question. */

import type { Part } from '#algorithms'

const PERIOD = 11

/** Returns a question as its own cluster: two in eleven held out, two to calibrate on, the rest to train on. */
export function placed(
  question: string,
  number: number,
): { readonly question: string; readonly cluster: string; readonly part: Part } {
  const place = number % PERIOD
  const part = place < 2 ? 'heldOut' : place < 4 ? 'calibration' : 'train'
  return { question, cluster: question, part }
}
