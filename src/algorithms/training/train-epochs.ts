/** @file The loop that every network here is trained by: shuffled batches, an AdamW step each, and the best epoch is kept. */

import { compileTrainingStep, type TrainableModel } from '#autodiff'
import { ServiceError } from '#errors'
import type { GraphRunner } from '#ports'
import { createRandom, int64, type Random, type Tensor } from '#tensor'
import type { Parameters } from './layers.ts'
import type { TrainingRun } from './training-result.ts'

export interface EpochOptions {
  readonly epochs: number
  /** Examples of one step; all of them when there are fewer. */
  readonly batch: number
  readonly lr: number
  readonly weightDecay: number
  /** Epochs without a better validation loss after which training ends. */
  readonly patience: number
}

export interface TrainingTask<Judged extends { readonly loss: number }> {
  /** Takes the examples of a step by number, from an input `rows` int64 [B]. */
  readonly compile: (batch: number) => TrainableModel
  /** How many examples there are, and inputs that hold them: they stay with the graph. */
  readonly examples: number
  readonly data: Readonly<Record<string, Tensor>>
  /** What else a step is fed, drawn anew for each. */
  readonly draw?: (random: Random, batch: number) => Readonly<Record<string, Tensor>>
  /** Looks at the parameters after every epoch, on examples that are not trained on. */
  readonly judge: (parameters: Parameters) => Promise<Judged>
}

export interface TrainedEpoch<Judged> {
  readonly parameters: Parameters
  readonly judged: Judged
  /** The epoch that they are of, counted from 1, and how many were run. */
  readonly bestEpoch: number
  readonly epochs: number
}

const CLIP_NORM = 1
const WARM_UP_SHARE = 0.05
/** Stream of the generator that orders examples, clear of those that draw parameters. */
const SHUFFLE_STREAM = 2 ** 31

/**
 * Trains until the epochs are over or the validation loss has not fallen for `patience` of them, and returns the parameters of
 * the epoch in which it was lowest. An epoch is all whole batches of a fresh shuffle; what is left over sits it out. The same task and seed give the same parameters, bit by bit, on a CPU.
 *
 * @throws ServiceError ABORTED when the signal fires; INTERNAL when no epoch ends in a finite loss.
 */
export async function trainEpochs<Judged extends { readonly loss: number }>(
  runner: GraphRunner,
  task: TrainingTask<Judged>,
  options: EpochOptions,
  run: TrainingRun,
): Promise<TrainedEpoch<Judged>> {
  const { examples, data } = task
  const batch = Math.min(options.batch, examples)
  const totalSteps = options.epochs * Math.floor(examples / batch)
  const model = task.compile(batch)
  const step = compileTrainingStep(model, {
    lr: options.lr,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: options.weightDecay,
    clipNorm: CLIP_NORM,
    warmupSteps: Math.ceil(WARM_UP_SHARE * totalSteps),
    totalSteps,
  })
  const graph = await runner.load(step.bytes, { state: { ...step.state, ...data }, carry: step.carry })
  try {
    const random = createRandom(run.seed, SHUFFLE_STREAM)
    let best: Omit<TrainedEpoch<Judged>, 'epochs'> | null = null
    let epoch = 0
    while (epoch < options.epochs && !(best && epoch - best.bestEpoch >= options.patience)) {
      epoch += 1
      const order = shuffled(examples, random)
      for (let first = 0; first + batch <= examples; first += batch) {
        if (run.signal.aborted) {
          throw new ServiceError('ABORTED', 'train: expected time to finish, got a stop')
        }
        const rows = int64(order.subarray(first, first + batch))
        await graph.run({ rows, ...task.draw?.(random, batch) }, [])
      }
      const read = await graph.read(model.parameters)
      const parameters = new Map(model.parameters.map((name) => [name, read[name] as Tensor<'float32'>]))
      const judged = await task.judge(parameters)
      // Not `>=`: NaN is no better than anything.
      if (judged.loss < (best?.judged.loss ?? Number.POSITIVE_INFINITY)) {
        best = { parameters, judged, bestEpoch: epoch }
      }
      run.onProgress?.(epoch / options.epochs)
    }
    if (!best) throw new ServiceError('INTERNAL', 'train: expected a finite loss, got none in any epoch')
    run.onProgress?.(1)
    return { ...best, epochs: epoch }
  } finally {
    await graph.close()
  }
}

/** Fisher-Yates. */
function shuffled(count: number, random: Random): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random.uniform() * (last + 1))
    ;[order[last], order[other]] = [order[other]!, order[last]!]
  }
  return order
}
