/**
 * @file Latent Thinking Optimization: trains a reward model as the service does, then selects among samples
 * by it.
 */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createTrainer } from '#engine'
import { drawPlots } from '#evaluation'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { drawSamples, scoreSamples } from './lto/draws.ts'
import { measureLayers, plotLayers } from './lto/layers.ts'
import { measurePace } from './lto/pace.ts'
import { measureCurves, measureScorers, measureSelection, plotCurves } from './lto/selection.ts'
import { teach } from './lto/teach.ts'
import { examplesOf } from './lto/training.ts'
import { measureTransfer, problemsOfEachFamily } from './lto/transfer.ts'
import { isRight, solveAll } from './measure.ts'
import { createSelector } from './solvers.ts'
import type { Workbench } from './workbench.ts'

export interface LtoOptions {
  /** Held-out problems. */
  readonly count: number
  /** Questions of the training split that teach the model, 8 samples each. */
  readonly taught: number
  readonly seed: number
  readonly quick: boolean
  /** Whether to sweep N, beta and layers, and to train on some families and test on others. */
  readonly curves: boolean
  /** Folder for the curves; null writes none. */
  readonly docs: string | null
}

/** Samples per problem behind the headline figures. */
const N = 8
/** Largest number of samples per problem in the curves. */
const MAX_SAMPLES = 32

export async function measureLto(bench: Workbench, { count, taught, seed, quick, curves, docs }: LtoOptions) {
  const { engine } = bench
  const { beta } = engine.model.profile.defaults
  const problems = makeProblems({ split: 'heldout', count, seed })
  console.log(`# LTO on ${engine.model.id}: ${problems.length} held-out problems, seed ${seed}`)
  console.log(`\n${taught} questions of the training split taught it, ${N} samples each; beta ${beta}`)

  await using parts = new AsyncDisposableStack()
  const lesson = await teach(bench, parts, {
    problems: makeProblems({ split: 'train', count: taught, seed: seed + 1 }),
    samples: N,
  })
  const { rewardModel } = lesson.learned
  const solver = createSelector(engine, lesson.learned)

  const rightly = async (ask: Parameters<typeof solveAll>[2]) =>
    (await solveAll(solver, problems, ask)).map((one) => Number(isRight(one)))
  const greedy = await rightly({ strategy: 'greedy' })
  const solved = await rightly({ strategy: 'lto', samples: N })
  const pace = await measurePace(
    solver,
    makeProblems({ split: 'heldout', count: quick ? 32 : 400, seed: seed + 2 }),
    N,
  )

  const most = curves && !quick ? MAX_SAMPLES : N
  const sampled = await scoreSamples(await drawSamples(engine, problems, most), rewardModel)
  const options = { count: N, beta, greedy, solved }
  const selection = measureSelection(sampled, options)
  const scorers = measureScorers(sampled, N)
  const headline = { count: problems.length, beta, taught: lesson.report, pace, selection, scorers }
  if (!curves) return headline

  const overall = measureCurves(sampled, options)
  const trainer = parts.adopt(
    await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger: bench.logger }),
    (it) => it.close(),
  )
  const heldOut = examplesOf(sampled)
  const layers = await measureLayers(trainer, { taught: lesson.examples, heldOut, seed })
  const each = await drawSamples(engine, problemsOfEachFamily(quick ? 4 : 100, seed + 3), N)
  const transfer = await measureTransfer(trainer, { taught: examplesOf(each), heldOut, seed })
  if (docs !== null) {
    await mkdir(docs, { recursive: true })
    await writeFile(join(docs, 'lto.svg'), drawPlots([...plotCurves(overall), plotLayers(layers)]))
  }
  return { ...headline, curves: overall, layers, transfer }
}
