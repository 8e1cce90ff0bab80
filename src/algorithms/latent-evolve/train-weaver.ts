/** @file Trains a weaver on admitted episodes: trains, measures. */

import { decodeModel, encodeModel, loadTensor } from '#onnx'
import type { GraphRunner, Latents } from '#ports'
import { float32, isFinite32, type Tensor } from '#tensor'
import { bootstrapByQuestion } from '../training/bootstrap.ts'
import type { Parameters } from '../training/layers.ts'
import { type EpochOptions, trainEpochs } from '../training/train-epochs.ts'
import {
  type Figure,
  type Part,
  type Training,
  type TrainingRun,
  tooFewClusters,
} from '../training/training-result.ts'
import { createYielding } from '../training/yielding.ts'
import { weave } from './weave.ts'
import {
  clippedTarget,
  type LatentScale,
  latentScale,
  stackLatents,
  stackRows,
  type WeaverExample,
} from './weaver-examples.ts'
import { compileWeaver, compileWeaverTraining } from './weaver-graphs.ts'
import { createWeaverParameters, SCALE, type WeaverArchitecture } from './weaver-network.ts'

export interface WeaverOptions extends EpochOptions {
  /** S_max: number of positions that the weaver can move. */
  readonly latents: number
  /** H: width of the network. */
  readonly hidden: number
  /** Number of residual blocks. */
  readonly blocks: number
  /**
   * Upper bound on the shift of a position, in norms of its z_base; holds for training targets and for the
   * serving graph.
   */
  readonly maxShift: number
  /**
   * Bytes of the active weaver: training starts once from it and once from scratch, and the better
   * validation loss wins.
   */
  readonly warmStart?: Uint8Array
}

export interface TrainedWeaver {
  /** ONNX graph from float32 `embedding` [N, D], `z_base` [N, S, D] and `mask` [N, S] to `z` [N, S, D]. */
  readonly model: Uint8Array
  /** Sizes of the latents: S_max and D. */
  readonly features: { readonly latents: number; readonly width: number }
  /** Options and facts of the training, for the manifest. */
  readonly options: Readonly<Record<string, unknown>>
  /**
   * Figures on episodes of held-out questions: `mse` per latent coordinate, `mse.identity` of the identity
   * weaver, and `explained`, the share of the latter that the weaver removes; the same three on locked
   * questions, prefixed `locked.`.
   */
  readonly metrics: Readonly<Record<Measure | `locked.${Measure}`, Figure>>
  /** Indices of the held-out examples. */
  readonly heldOut: readonly number[]
}

type Measure = 'mse' | 'mse.identity' | 'explained'

const DEFAULTS: Omit<WeaverOptions, 'latents'> = {
  hidden: 128,
  blocks: 1,
  maxShift: 1,
  epochs: 60,
  batch: 32,
  lr: 2e-3,
  weightDecay: 0.05,
  patience: 15,
}

/** Network and scale before the first step. */
interface Start {
  readonly name: 'warm' | 'cold'
  readonly architecture: WeaverArchitecture
  readonly parameters: Parameters
  readonly scale: LatentScale
}

/**
 * Trains a weaver (LatentEvolve, arXiv 2509.24771, Eq. 7 and 9: the mean of ||W(e_c, z_base) - z*||^2,
 * masked) on the examples of the part `train`. Those of `calibration` decide when to stop and, with a warm
 * start, whether it was better than a cold one; figures are measured on `heldOut` and `locked`.
 *
 * Deviates: Eq. 9 trains on all episodes. Here the version that ships is the version that was measured, so
 * the night's held-out questions are learned in a later night.
 *
 * Guards against poisoned episodes: no target is further than `maxShift` from its z_base, and neither is any
 * output of the serving graph. Unusable episodes (not finite, shapes that disagree, a weight of 0) are left
 * out and counted (`options.dropped`). Seeded: the same examples and seed give the same bytes on a CPU.
 *
 * @returns the trained weaver, or `skipped` with the reason when there is too little to train on.
 * @throws ServiceError ABORTED when the signal fires.
 */
export async function trainWeaver(
  runner: GraphRunner,
  examples: readonly WeaverExample[],
  run: TrainingRun,
  given: Partial<WeaverOptions> & Pick<WeaverOptions, 'latents'>,
): Promise<Training<TrainedWeaver>> {
  const { warmStart, ...options } = { ...DEFAULTS, ...given }
  const usable = await usableOf(examples)
  const skipped = reasonToSkipWeaver(examples, usable)
  if (skipped !== null) return { skipped }
  const partOf = (part: Part): Examples => {
    const own = usable.map((index) => examples[index]!).filter((example) => example.part === part)
    return { examples: own, targets: own.map((example) => clippedTarget(example, options.maxShift)) }
  }
  const [train, validation] = [partOf('train'), partOf('calibration')]

  const architecture = { ...options, width: examples[usable[0]!]!.zBase.width }
  const cold: Start = {
    name: 'cold',
    architecture,
    parameters: createWeaverParameters(architecture, run.seed),
    scale: latentScale(train.examples, options.latents, architecture.width),
  }
  const warm = warmStart === undefined ? null : startFrom(warmStart, cold)
  const starts = warm === null ? [cold] : [warm, cold]
  const trained = []
  for (const [index, start] of starts.entries()) {
    const onProgress = (share: number) => run.onProgress?.((index + share) / starts.length)
    trained.push(await trainFrom(runner, start, { train, validation }, options, { ...run, onProgress }))
  }
  const best = trained.reduce((a, b) => (b.judged.loss < a.judged.loss ? b : a))
  const model = encodeModel(
    compileWeaver(best.start.architecture, best.start.scale, best.parameters, options),
  )
  const { latents } = options
  const { width } = architecture
  const figures = async (part: Part) => {
    const own = partOf(part)
    return measure(own, await applyModel(runner, model, own, latents), latents, run.seed)
  }
  const locked = await figures('locked')
  return {
    trained: {
      model,
      features: { latents, width },
      options: {
        ...options,
        start: best.start.name,
        validationLoss: Object.fromEntries(trained.map(({ start, judged }) => [start.name, judged.loss])),
        bestEpoch: best.bestEpoch,
        epochsRun: best.epochs,
        episodes: { train: train.examples.length, validation: validation.examples.length },
        dropped: examples.length - usable.length,
      },
      metrics: {
        ...(await figures('heldOut')),
        'locked.mse': locked.mse,
        'locked.mse.identity': locked['mse.identity'],
        'locked.explained': locked.explained,
      },
      heldOut: usable.filter((index) => examples[index]!.part === 'heldOut'),
    },
  }
}

/** Weaver example of which only the shape is known. */
export interface DescribedPair extends Pick<WeaverExample, 'cluster' | 'part'> {
  readonly zBase: Pick<Latents, 'width'>
}

/**
 * Returns, in words, why the usable examples cannot be trained on; null when they can. Reads no latents, so
 * that a caller can ask before it sends them anywhere.
 */
export function reasonToSkipWeaver(
  examples: readonly DescribedPair[],
  usable: readonly number[],
): string | null {
  if (usable.length === 0) return `no episodes to learn from (${examples.length} unusable)`
  const widths = new Set(usable.map((index) => examples[index]!.zBase.width))
  if (widths.size > 1) return `latents of different widths: ${[...widths].join(', ')}`
  return tooFewClusters(usable.map((index) => examples[index]!))
}

/** Examples of one part of the split, with the clipped target of each. */
interface Examples {
  readonly examples: readonly WeaverExample[]
  readonly targets: readonly Latents[]
}

async function trainFrom(
  runner: GraphRunner,
  start: Start,
  { train, validation }: { readonly train: Examples; readonly validation: Examples },
  options: Omit<WeaverOptions, 'warmStart'>,
  run: TrainingRun,
) {
  const { architecture, scale } = start
  const { latents, width } = architecture
  const rows = stackRows(train.examples, latents, width)
  const examples = train.examples.length
  const unit = Math.sqrt(meanOf(train, identityErrorsOf(train, latents))) || 1
  const epoch = await trainEpochs(
    runner,
    {
      examples,
      data: {
        embedding: rows.embedding,
        z_base: rows.zBase,
        mask: rows.mask,
        z_star: stackLatents(train.targets, latents, width),
        weights: float32(train.examples.map(({ weight = 1 }) => weight)),
      },
      compile: (batch) =>
        compileWeaverTraining(architecture, scale, start.parameters, { examples, batch, unit }),
      async judge(parameters) {
        const model = encodeModel(compileWeaver(architecture, scale, parameters, options))
        const outputs = await applyModel(runner, model, validation, latents)
        return { loss: meanOf(validation, errorsOf(validation, outputs, latents)) }
      },
    },
    options,
    run,
  )
  return { ...epoch, start }
}

/** Loads a weaver's bytes and applies it to the examples of a part. */
async function applyModel(runner: GraphRunner, model: Uint8Array, { examples }: Examples, latents: number) {
  const graph = await runner.load(model)
  try {
    return await weave(graph, examples, latents)
  } finally {
    await graph.close()
  }
}

/** Squared error of one episode over the positions that the weaver can move. */
interface SquaredError {
  readonly sum: number
  /** Number of coordinates summed over. */
  readonly coordinates: number
}

function errorsOf({ targets }: Examples, outputs: readonly Latents[], latents: number): SquaredError[] {
  return targets.map((target, index) => {
    const coordinates = Math.min(latents, target.length) * target.width
    let sum = 0
    for (let i = 0; i < coordinates; i++) sum += (outputs[index]!.data[i]! - target.data[i]!) ** 2
    return { sum, coordinates }
  })
}

/** Errors of the identity weaver. */
function identityErrorsOf(part: Examples, latents: number): SquaredError[] {
  return errorsOf(
    part,
    part.examples.map(({ zBase }) => zBase),
    latents,
  )
}

/** Mean error per coordinate, by weight. `times`: how often each episode counts, once unless given. */
function meanOf({ examples }: Examples, errors: readonly SquaredError[], times?: Float64Array): number {
  let total = 0
  let mass = 0
  for (const [index, { sum, coordinates }] of errors.entries()) {
    const weight = (examples[index]!.weight ?? 1) * (times?.[index] ?? 1)
    total += weight * sum
    mass += weight * coordinates
  }
  return total / mass
}

function measure(
  part: Examples,
  outputs: readonly Latents[],
  latents: number,
  seed: number,
): Readonly<Record<Measure, Figure>> {
  const own = errorsOf(part, outputs, latents)
  const identity = identityErrorsOf(part, latents)
  const clusters = part.examples.map(({ cluster }) => cluster)
  const figure = (statistic: (times: Float64Array) => number) =>
    bootstrapByQuestion(clusters, statistic, { seed })
  return {
    mse: figure((times) => meanOf(part, own, times)),
    'mse.identity': figure((times) => meanOf(part, identity, times)),
    explained: figure((times) => 1 - meanOf(part, own, times) / meanOf(part, identity, times)),
  }
}

/**
 * Returns the parameters and scale of an earlier weaver; null when the bytes are not a weaver of the same
 * architecture.
 */
function startFrom(bytes: Uint8Array, cold: Start): Start | null {
  try {
    const { initializers } = decodeModel(bytes).graph
    const read = (name: string, { shape }: Tensor) => {
      const stored = initializers.get(name)
      const tensor = stored && loadTensor(stored)
      const matches = tensor?.dtype === 'float32' && tensor.shape.join() === shape.join()
      return matches ? (tensor as Tensor<'float32'>) : null
    }
    const parameters = new Map<string, Tensor<'float32'>>()
    for (const [name, tensor] of cold.parameters) {
      const earlier = read(name, tensor)
      if (earlier === null) return null
      parameters.set(name, earlier)
    }
    const mean = read(SCALE.mean, cold.scale.mean)
    const deviation = read(SCALE.deviation, cold.scale.deviation)
    if (mean === null || deviation === null) return null
    return { name: 'warm', architecture: cold.architecture, parameters, scale: { mean, deviation } }
  } catch {
    // Damaged bytes: training starts cold only.
    return null
  }
}

async function usableOf(examples: readonly WeaverExample[]): Promise<readonly number[]> {
  const pause = createYielding()
  const usable: number[] = []
  for (const [index, example] of examples.entries()) {
    await pause()
    if (isUsable(example)) usable.push(index)
  }
  return usable
}

function isUsable({ embedding, zBase, zStar, weight = 1 }: WeaverExample): boolean {
  const isFilled = ({ data, length, width }: Latents) =>
    length > 0 && data.length === length * width && isFinite32(data)
  const fits = embedding.length === zBase.width && zStar.width === zBase.width
  return weight > 0 && fits && isFinite32(embedding) && isFilled(zBase) && isFilled(zStar)
}
