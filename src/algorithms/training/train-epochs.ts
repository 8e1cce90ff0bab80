/**
 * @file Training loop of every network here: shuffled batches, one AdamW step each; keeps the best epoch.
 */

import { compileTrainingStep, type TrainableModel } from '#autodiff'
import { ServiceError } from '#errors'
import type { GraphRunner } from '#ports'
import { createRandom, int64, type Random, type Tensor } from '#tensor'
import type { Parameters } from './layers.ts'
import type { TrainingRun } from './training-result.ts'

export interface EpochOptions {
  readonly epochs: number
  /** Number of examples in one step; all examples when there are fewer. */
  readonly batch: number
  readonly lr: number
  readonly weightDecay: number
  /** Number of epochs without a better validation loss after which training ends. */
  readonly patience: number
}

export interface TrainingTask<Judged extends { readonly loss: number }> {
  /**
   * Compiles the loss of a step of `batch` examples. The graph reads the indices of these examples from its input
   * `rows`, int64 [B].
   */
  readonly compile: (batch: number) => TrainableModel
  /** Number of examples. */
  readonly examples: number
  /**
   * Group of each example: the examples of one group stay together in the shuffle, so that most batches hold
   * whole groups. Each example is a group of its own unless given.
   */
  readonly groups?: readonly number[]
  /** Inputs that hold the examples; they stay with the graph between steps. */
  readonly data: Readonly<Record<string, Tensor>>
  /** Draws the other inputs of a step, anew for each. */
  readonly draw?: (random: Random, batch: number) => Readonly<Record<string, Tensor>>
  /**
   * Measures the validation loss of the parameters after every epoch, on examples that are not trained on.
   */
  readonly judge: (parameters: Parameters) => Promise<Judged>
}

export interface TrainedEpoch<Judged> {
  readonly parameters: Parameters
  readonly judged: Judged
  /** Epoch that the parameters are of, counted from 1. */
  readonly bestEpoch: number
  /** Number of epochs run. */
  readonly epochs: number
}

const CLIP_NORM = 1
const WARM_UP_SHARE = 0.05
/** Random stream of the steps (order of examples, dropout), outside those that draw initial parameters. */
const STEP_STREAM = 2 ** 31

/**
 * Trains until the epochs are over or the validation loss has not fallen for `patience` of them, and returns
 * the parameters of the epoch in which it was lowest. An epoch is all whole batches of a fresh shuffle; the
 * remaining examples are skipped. The same task and seed give the same parameters, bit for bit, on a CPU.
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
    const random = createRandom(run.seed, STEP_STREAM)
    let best: Omit<TrainedEpoch<Judged>, 'epochs'> | null = null
    let epoch = 0
    while (epoch < options.epochs && !(best && epoch - best.bestEpoch >= options.patience)) {
      epoch += 1
      const order = shuffledByGroup(task.groups, examples, random)
      for (let first = 0; first + batch <= examples; first += batch) {
        if (run.signal.aborted) {
          throw new ServiceError('ABORTED', 'train: expected to run to the end, got a stop signal')
        }
        const rows = int64(order.subarray(first, first + batch))
        await graph.run({ rows, ...task.draw?.(random, batch) }, [])
      }
      const read = await graph.read(model.parameters)
      const parameters = new Map(model.parameters.map((name) => [name, read[name] as Tensor<'float32'>]))
      const judged = await task.judge(parameters)
      // Not `>=`: a NaN loss must not become the best.
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

/** Shuffles groups, and the examples of each group. */
function shuffledByGroup(
  groups: readonly number[] | undefined,
  count: number,
  random: Random,
): Int32Array<ArrayBuffer> {
  if (groups === undefined) return shuffled(count, random)
  const members = [...Map.groupBy(groups.keys(), (index) => groups[index]!).values()]
  const order = [...shuffled(members.length, random)].flatMap((group) => {
    const own = members[group]!
    return [...shuffled(own.length, random)].map((member) => own[member]!)
  })
  return Int32Array.from(order)
}

/** Fisher-Yates. */
function shuffled(count: number, random: Random): Int32Array<ArrayBuffer> {
  const order = Int32Array.from({ length: count }, (_, index) => index)
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random.uniform() * (last + 1))
    ;[order[last], order[other]] = [order[other]!, order[last]!]
  }
  return order
}
