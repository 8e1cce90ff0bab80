/** @file Trains a latent reward model on labelled answers: trains, chooses, calibrates, measures. */

import { encodeModel } from '#onnx'
import type { GraphRunner } from '#ports'
import { isFinite32 } from '#tensor'
import { deriveSeed } from '../derive-seed.ts'
import { MIN_QUESTIONS_FOR_INTERVAL } from '../training/bootstrap.ts'
import { type Part, type Training, type TrainingRun, tooFewClusters } from '../training/training-result.ts'
import { createYielding } from '../training/yielding.ts'
import { fitCalibration } from './calibrate.ts'
import { chooseNetwork } from './choose-network.ts'
import { measureAnswers } from './gate-reward-model.ts'
import { auc } from './metrics.ts'
import { compileRewardModel } from './reward-graphs.ts'
import type { DescribedThought, LabelledThought, TrainedRewardModel } from './reward-model-types.ts'
import type { RewardArchitecture } from './reward-network.ts'
import { scoreThoughts } from './score-thoughts.ts'
import { stackThoughts, standardisation } from './standardise.ts'
import { type Answers, type NetworkTraining, type TrainedNetwork, trainNetwork } from './train-network.ts'

export interface RewardModelOptions extends NetworkTraining {
  /** Width inside the transformer; a multiple of `heads`. */
  readonly hidden: number
  readonly heads: number
  readonly blocks: number
  readonly feedForward: number
  /** Number of transformers, each trained from its own seed; their logits are averaged. */
  readonly members: number
}

/**
 * Returns the default options for `answers` thoughts of `width`, chosen on tuning seeds of the bundled
 * model. The transformer is a quarter as wide as the states, 256 at most: wider ones memorise their training
 * answers. Few answers need many epochs. An ensemble of three is more accurate than one (Lakshminarayanan et
 * al., arXiv 1612.01474), and varies less from one consolidation to the next.
 */
function defaultOptions(width: number, answers: number): RewardModelOptions {
  const hidden = Math.min(256, Math.max(32, 2 ** Math.round(Math.log2(width / 4))))
  const batch = 64
  const stepsPerEpoch = Math.max(1, Math.floor(answers / batch))
  const epochs = Math.max(12, Math.ceil(MIN_STEPS / stepsPerEpoch))
  return {
    hidden,
    heads: 4,
    blocks: 2,
    feedForward: 2 * hidden,
    members: 3,
    epochs,
    batch,
    lr: 1e-3,
    weightDecay: 0.1,
    dropout: 0.2,
    pairWeight: 0.5,
    patience: Math.ceil(epochs / 2),
  }
}

/** Lower bound on the steps of one training, reached by more epochs. */
const MIN_STEPS = 400

/**
 * Options of the linear probe: it is convex and small, so it trains with larger steps and without dropout.
 */
const PROBE = { lr: 3e-3, dropout: 0 }

/** Share of the work that the probe takes, for progress. */
const PROBE_SHARE = 0.1

/**
 * Trains a latent reward model (LTO, arXiv 2509.26314, section 3) and, with the same trainer, the linear
 * probe, on the examples of the part `train`; stops, calibrates and chooses between the two by the part
 * `calibration`, measures on `heldOut` and `locked`. The network with the higher within-question AUC is the
 * trained model (`options.kind`).
 *
 * Deviates: the paper trains on ground truth with cross-entropy alone. Most labels here are a majority's or
 * the model's own, so they have weights; and a term over pairs of answers to one question is added, because
 * the score chooses between these and not between questions.
 *
 * Answers whose thought is not finite or not of its stated shape are left out and counted
 * (`options.dropped`). Calibration and early stopping use labels other than `self` when there are enough for
 * an interval, of both classes, else all labels; `options.calibratedOn` counts them by source. Seeded: the
 * same examples and seed give the same bytes on a CPU.
 *
 * @returns the trained model, or `skipped` with the reason: no answers, one class, too few questions to
 *   train or to calibrate on, a part of one class, thoughts of different widths.
 * @throws ServiceError ABORTED when the signal fires.
 */
export async function trainRewardModel(
  runner: GraphRunner,
  examples: readonly LabelledThought[],
  run: TrainingRun,
  overrides: Partial<RewardModelOptions> = {},
): Promise<Training<TrainedRewardModel>> {
  const usable = await usableOf(examples)
  const assigned = assignAnswers(examples, usable)
  if ('skipped' in assigned) return assigned
  const { parts, layers, width } = assigned
  const options = { ...defaultOptions(width, parts.train.length), ...overrides }
  const groupOf = numberQuestions(examples)
  const answers = (indices: readonly number[]): Answers => ({
    thoughts: stackThoughts(
      indices.map((index) => examples[index]!.thought),
      layers,
      width,
    ),
    labels: indices.map((index) => Number(examples[index]!.correct)),
    weights: indices.map((index) => examples[index]!.weight),
    groups: indices.map((index) => groupOf.get(examples[index]!.question)!),
  })
  const data = { train: answers(parts.train), calibration: answers(parts.calibration) }
  const standard = await standardisation(
    parts.train.map((index) => examples[index]!.thought),
    layers,
    width,
  )

  const train = async (
    kind: RewardArchitecture['kind'],
    training: NetworkTraining,
    count: number,
    [from, to]: readonly [number, number],
  ) => {
    const { hidden, heads, blocks, feedForward } = options
    const architecture = { kind, layers, width, hidden, heads, blocks, feedForward }
    const members: TrainedNetwork[] = []
    for (let member = 0; member < count; member++) {
      const trained = await trainNetwork(runner, architecture, standard, data, training, {
        seed: deriveSeed(run.seed, member),
        signal: run.signal,
        onProgress: (done) => run.onProgress?.(from + ((member + done) / count) * (to - from)),
      })
      members.push(trained)
    }
    const logits = data.calibration.labels.map(
      (_, index) => members.reduce((sum, member) => sum + member.logits[index]!, 0) / count,
    )
    const calibration = fitCalibration({ ...data.calibration, logits })
    const parameters = members.map((member) => member.parameters)
    const model = encodeModel(compileRewardModel(architecture, standard, parameters, calibration))
    return { model, members, calibration, logits }
  }
  const linear = await train('linear', { ...options, ...PROBE }, 1, [0, PROBE_SHARE])
  const transformer = await train('transformer', options, options.members, [PROBE_SHARE, 1])
  const networks = { linear, transformer }
  const kind = chooseNetwork({ linear: linear.logits, transformer: transformer.logits }, data.calibration)

  const scored = async (model: Uint8Array, indices: readonly number[]) => {
    const graph = await runner.load(model)
    try {
      const scores = await scoreThoughts(graph, answers(indices).thoughts, 'probability')
      return indices.map((index, place) => ({ ...examples[index]!, score: scores[place]! }))
    } finally {
      await graph.close()
    }
  }
  const { model, members, calibration } = networks[kind]
  const resampling = { seed: run.seed }
  const locked = measureAnswers(await scored(model, parts.locked), resampling)
  const heldOut = {
    linear: await scored(linear.model, parts.heldOut),
    transformer: await scored(transformer.model, parts.heldOut),
  }
  return {
    trained: {
      model,
      features: { layers, width },
      options: {
        ...options,
        kind,
        bestEpochs: members.map(({ bestEpoch }) => bestEpoch),
        calibration,
        calibratedOn: countSources(parts.calibration.map((index) => examples[index]!)),
        answers: { train: parts.train.length, calibration: parts.calibration.length },
        dropped: examples.length - usable.length,
      },
      metrics: {
        ...measureAnswers(heldOut[kind], resampling),
        'linear.auc': auc(heldOut.linear, resampling),
        'transformer.auc': auc(heldOut.transformer, resampling),
        ...Object.fromEntries(Object.entries(locked).map(([name, figure]) => [`locked.${name}`, figure])),
      },
      heldOut: parts.heldOut,
      locked: parts.locked,
    },
  }
}

export interface AssignedAnswers {
  /** Indices of the usable examples of each part; without `self` labels where figures are measured. */
  readonly parts: Readonly<Record<Part, readonly number[]>>
  readonly layers: number
  readonly width: number
}

async function usableOf(examples: readonly LabelledThought[]): Promise<readonly number[]> {
  const pause = createYielding()
  const usable: number[] = []
  for (const [index, example] of examples.entries()) {
    await pause()
    if (isUsable(example)) usable.push(index)
  }
  return usable
}

/**
 * Assigns the usable answers to the parts of the split; or returns, in words, why they cannot be trained on.
 * Reads no number of a thought, so that a caller can ask before it sends the thoughts anywhere.
 *
 * @param usable indices of the examples to use
 */
export function assignAnswers(
  examples: readonly DescribedThought[],
  usable: readonly number[],
): AssignedAnswers | { readonly skipped: string } {
  if (usable.length === 0) return { skipped: `no labelled answers (${examples.length} unusable)` }
  const at = (indices: readonly number[]) => indices.map((index) => examples[index]!)
  const widths = new Set(at(usable).map(({ thought }) => thought.width))
  if (widths.size > 1) return { skipped: `thoughts of different widths: ${[...widths].join(', ')}` }
  const onlyClass = oneClass(at(usable))
  if (onlyClass) return { skipped: `one class only: all ${usable.length} answers are ${onlyClass}` }
  const tooFew = tooFewClusters(at(usable))
  if (tooFew !== null) return { skipped: tooFew }

  const partOf = (part: Part) => usable.filter((index) => examples[index]!.part === part)
  const evidence = (indices: readonly number[]) =>
    indices.filter((index) => examples[index]!.source !== 'self')
  const calibration = partOf('calibration')
  const parts = {
    train: partOf('train'),
    calibration: isEnough(at(evidence(calibration))) ? evidence(calibration) : calibration,
    heldOut: evidence(partOf('heldOut')),
    locked: evidence(partOf('locked')),
  }
  for (const name of ['train', 'calibration'] as const) {
    const only = oneClass(at(parts[name]))
    if (only !== null) {
      const count = parts[name].length
      return { skipped: `one class only: all ${count} answers of the part ${name} are ${only}` }
    }
  }
  const layers = usable.reduce((most, index) => Math.max(most, examples[index]!.thought.layers), 0)
  return { parts, layers, width: [...widths][0]! }
}

/** True when the thought is finite, fills its stated shape, and has a weight above 0. */
function isUsable({ thought: { data, layers, width }, weight }: LabelledThought): boolean {
  return layers > 0 && data.length === layers * width && weight > 0 && isFinite32(data)
}

/** Class of all examples; null when both classes occur. */
function oneClass(examples: readonly DescribedThought[]): 'right' | 'wrong' | null {
  if (examples.every(({ correct }) => correct)) return 'right'
  return examples.some(({ correct }) => correct) ? null : 'wrong'
}

/** Returns whether answers suffice to calibrate on: enough questions for an interval, and both classes. */
function isEnough(answers: readonly DescribedThought[]): boolean {
  const clusters = new Set(answers.map(({ cluster }) => cluster)).size
  return clusters >= MIN_QUESTIONS_FOR_INTERVAL && oneClass(answers) === null
}

function countSources(answers: readonly LabelledThought[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { source } of answers) counts[source] = (counts[source] ?? 0) + 1
  return counts
}

/** Numbers the questions in the order of their first answer. */
function numberQuestions(examples: readonly LabelledThought[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  for (const { question } of examples) if (!numbers.has(question)) numbers.set(question, numbers.size)
  return numbers
}
