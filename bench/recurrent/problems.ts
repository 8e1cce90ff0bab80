/** @file The problems of a depth-recurrent model, in its own directory. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Problem {
  readonly question: string
  readonly answer: string
  readonly family: string
  /** Number of steps that the problem takes. */
  readonly depth: number
}

export interface Problems {
  /** Questions that teach the reward model. */
  readonly train: readonly Problem[]
  readonly test: readonly Problem[]
  /** Held out, of a family that `train` and `test` have none of. */
  readonly transfer: readonly Problem[]
}

export async function readProblems(directory: string): Promise<Problems> {
  return JSON.parse(await readFile(join(directory, 'problems.json'), 'utf8')) as Problems
}
