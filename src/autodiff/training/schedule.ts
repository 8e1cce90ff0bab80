/** @file The learning rate as a formula of the step. */

import type { Formulas } from '../formulas.ts'
import type { TrainingOptions } from '../types.ts'

/**
 * lr min(1, (t + 1) / warmup) (1 + cos(pi progress)) / 2, where `t` counts the steps made before (Loshchilov & Hutter,
 * arXiv 1608.03983, Eq. 5, without restarts). Progress runs from 0 at the end of the warm-up to 1 at `totalSteps`, and stays.
 * The first step already moves: a warm-up from 0 would waste it.
 */
export function emitLearningRate(f: Formulas, t: string, options: TrainingOptions): string {
  const { lr, warmupSteps, totalSteps } = options
  const warmup = f.min(1, f.div(f.add(t, 1), Math.max(1, warmupSteps)))
  const decaying = f.div(f.sub(t, warmupSteps), Math.max(1, totalSteps - warmupSteps))
  const progress = f.min(1, f.max(0, decaying))
  const cosine = f.add(1, f.cos(f.mul(Math.PI, progress)))
  return f.mul(f.mul(0.5 * lr, warmup), cosine)
}
