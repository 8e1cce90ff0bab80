/** @file Trains a latent reward model on labelled answers: splits, trains, calibrates, measures. */

import { encodeModel } from '#onnx'
import type { GraphRunner } from '#ports'
import { deriveSeed } from '../derive-seed.ts'
import { MIN_QUESTIONS_FOR_INTERVAL } from '../training/bootstrap.ts'
import { countQuestions, MIN_QUESTIONS, type Split, splitQuestions } from '../training/split-questions.ts'
import type { Training, TrainingRun } from '../training/training-result.ts'
import { fitCalibration } from './calibrate.ts'
import { measureAnswers } from './gate-reward-model.ts'
import { auc } from './metrics.ts'
import { compileRewardModel } from './reward-graphs.ts'
import type { LabelledThought, TrainedRewardModel } from './reward-model-types.ts'
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
 * probe, on 70 % of the questions; stops and calibrates on another 10 %, measures on the rest
 * (`splitQuestions`).
 *
 * Answers whose thought is not finite or not of its stated shape are left out and counted
 * (`options.dropped`). Held-out figures use trusted labels when there are enough for an interval, of both
 * classes, else all labels (`options.heldOutLabels`). Seeded: the same examples and seed give the same bytes
 * on a CPU.
 *
 * @returns the trained model, or `skipped` with the reason: no answers, one class, fewer than 40 questions,
 *   a split of one class, thoughts of different widths.
 * @throws ServiceError ABORTED when the signal fires.
 */
export async function trainRewardModel(
  runner: GraphRunner,
  examples: readonly LabelledThought[],
  run: TrainingRun,
  overrides: Partial<RewardModelOptions> = {},
): Promise<Training<TrainedRewardModel>> {
  const prepared = prepare(examples)
  if ('skipped' in prepared) return prepared
  const { usable, parts, layers, width } = prepared
  const options = { ...defaultOptions(width, parts.train.length), ...overrides }
  const answers = (indices: readonly number[]): Answers => ({
    thoughts: stackThoughts(
      indices.map((index) => examples[index]!.thought),
      layers,
      width,
    ),
    labels: indices.map((index) => Number(examples[index]!.correct)),
    weights: indices.map((index) => examples[index]!.weight),
  })
  const data = { train: answers(parts.train), calibration: answers(parts.calibration) }
  const measured = heldOutAnswers(examples, parts.heldOut)
  const { thoughts: heldOut } = answers(measured.indices)
  const standard = standardisation(
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
    const graph = await runner.load(model)
    try {
      const scores = await scoreThoughts(graph, heldOut, 'probability')
      const scored = measured.indices.map((index, place) => ({ ...examples[index]!, score: scores[place]! }))
      return { model, members, calibration, scored }
    } finally {
      await graph.close()
    }
  }
  const probe = await train('linear', { ...options, ...PROBE }, 1, [0, PROBE_SHARE])
  const transformer = await train('transformer', options, options.members, [PROBE_SHARE, 1])
  const { model, members, calibration, scored } = transformer
  return {
    trained: {
      model,
      features: { layers, width },
      options: {
        ...options,
        bestEpochs: members.map(({ bestEpoch }) => bestEpoch),
        calibration,
        answers: { train: parts.train.length, calibration: parts.calibration.length },
        dropped: examples.length - usable,
        heldOutLabels: measured.labels,
      },
      metrics: { ...measureAnswers(scored, run.seed), 'linear.auc': auc(probe.scored, { seed: run.seed }) },
      heldOut: measured.indices,
    },
  }
}

interface Prepared {
  /** Number of examples that can be used. */
  readonly usable: number
  /** Indices of the usable examples. */
  readonly parts: Split
  readonly layers: number
  readonly width: number
}

function prepare(examples: readonly LabelledThought[]): Prepared | { readonly skipped: string } {
  const usable = [...examples.keys()].filter((index) => isUsable(examples[index]!))
  if (usable.length === 0) return { skipped: `no labelled answers (${examples.length} unusable)` }
  const at = (indices: readonly number[]) => indices.map((index) => examples[index]!)
  const widths = new Set(at(usable).map(({ thought }) => thought.width))
  if (widths.size > 1) return { skipped: `thoughts of different widths: ${[...widths].join(', ')}` }
  const onlyClass = oneClass(at(usable))
  if (onlyClass) return { skipped: `one class only: all ${usable.length} answers are ${onlyClass}` }

  const questions = at(usable).map(({ question }) => question)
  const split = splitQuestions(questions)
  if (split === null) {
    const got = countQuestions(questions)
    return { skipped: `too few questions: expected ${MIN_QUESTIONS} with labelled answers, got ${got}` }
  }
  const parts = {
    train: split.train.map((place) => usable[place]!),
    calibration: split.calibration.map((place) => usable[place]!),
    heldOut: split.heldOut.map((place) => usable[place]!),
  }
  for (const [name, indices] of Object.entries(parts)) {
    const onlyClass = oneClass(at(indices))
    if (onlyClass !== null) {
      const count = indices.length
      return { skipped: `one class only: all ${count} answers of the ${name} split are ${onlyClass}` }
    }
  }
  const layers = Math.max(...new Set(at(usable).map(({ thought }) => thought.layers)))
  return { usable: usable.length, parts, layers, width: [...widths][0]! }
}

/** True when the thought is finite, fills its stated shape, and has a weight above 0. */
function isUsable({ thought: { data, layers, width }, weight }: LabelledThought): boolean {
  return layers > 0 && data.length === layers * width && weight > 0 && data.every(Number.isFinite)
}

/** Class of all examples; null when both classes occur. */
function oneClass(examples: readonly LabelledThought[]): 'right' | 'wrong' | null {
  if (examples.every(({ correct }) => correct)) return 'right'
  return examples.some(({ correct }) => correct) ? null : 'wrong'
}

/**
 * Returns the answers to measure figures on: those with trusted labels, if they are of both classes and of
 * enough questions for an interval, else all. Feedback on one or two questions must not leave the gate
 * without an interval.
 */
function heldOutAnswers(examples: readonly LabelledThought[], indices: readonly number[]) {
  const trusted = indices.filter((index) => examples[index]!.trusted)
  const answers = trusted.map((index) => examples[index]!)
  const questions = new Set(answers.map(({ question }) => question)).size
  return questions >= MIN_QUESTIONS_FOR_INTERVAL && oneClass(answers) === null
    ? { indices: trusted, labels: 'trusted' }
    : { indices, labels: 'all' }
}
