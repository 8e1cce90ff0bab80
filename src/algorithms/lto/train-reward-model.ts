/** @file Trains a latent reward model on labelled answers: trains, chooses, calibrates, measures. */

import type { GraphRunner } from '#ports'
import { isFinite32 } from '#tensor'
import { MIN_QUESTIONS_FOR_INTERVAL } from '../training/bootstrap.ts'
import {
  type Figure,
  type Part,
  type Training,
  type TrainingRun,
  tooFewClusters,
} from '../training/training-result.ts'
import { createYielding } from '../training/yielding.ts'
import { chooseScores, meanWithinQuestionAuc } from './choose-network.ts'
import { measureAnswers } from './compare-questions.ts'
import type { FormName } from './forms/reward-form.ts'
import { FORM_NAMES, REWARD_FORMS } from './forms/reward-forms.ts'
import { auc } from './metrics.ts'
import type { DescribedThought, LabelledThought, TrainedRewardModel } from './reward-model-types.ts'
import { type FormExamples, type TrainedForm, trainForm } from './train-form.ts'
import type { NetworkTraining } from './train-network.ts'

export interface RewardModelOptions extends NetworkTraining {
  /** Forms that are trained, where the thoughts have their states; `mean` is always trained. */
  readonly forms: readonly FormName[]
  /** Width inside the transformer, a multiple of `heads`, and of the perceptron. */
  readonly hidden: number
  readonly heads: number
  readonly blocks: number
  readonly feedForward: number
  /** Number of transformers or perceptrons, each trained from its own seed; their logits are averaged. */
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
    forms: FORM_NAMES,
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
 * Trains a latent reward model (LTO, arXiv 2509.26314, section 3) in every form for which there are examples, on
 * those of the part `train`; stops, calibrates and chooses by the part `calibration`, measures on `heldOut` and
 * `locked`. Within a form, and then between the forms on the calibration answers that all of them read, the higher
 * within-question AUC wins (`options.kind`, `features.form`).
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
  const mean = await examplesOf('mean', examples)
  if ('skipped' in mean) return mean
  const options = { ...defaultOptions(mean.width, mean.parts.train.length), ...overrides }
  const material: Partial<Record<FormName, FormExamples>> = { mean }
  const skipped: Partial<Record<FormName, string>> = {}
  for (const form of FORM_NAMES.filter((name) => name !== 'mean' && options.forms.includes(name))) {
    const found = await examplesOf(form, examples)
    if ('skipped' in found) skipped[form] = found.skipped
    else material[form] = found
  }

  const names = FORM_NAMES.filter((name) => material[name] !== undefined)
  const trained: Partial<Record<FormName, TrainedForm>> = {}
  for (const [place, form] of names.entries()) {
    const share = (done: number) => run.onProgress?.((place + done) / names.length)
    trained[form] = await trainForm(runner, form, material[form]!, options, { ...run, onProgress: share })
  }
  const { form, calibrationAucs } = chooseForm(names, material, trained)
  const chosen = trained[form]!
  const { parts, usable, layers, width } = material[form]!

  const resampling = { seed: run.seed }
  const locked = measureAnswers(await chosen.score(parts.locked), resampling)
  const others = names.filter((name) => name !== 'mean' && name !== form)
  const heldOut = await chosen.score(parts.heldOut)
  const figures: Record<string, Figure> = {
    ...measureAnswers(heldOut, resampling),
    ...(await trained.mean!.networkAucs(resampling)),
    ...Object.fromEntries(Object.entries(locked).map(([name, figure]) => [`locked.${name}`, figure])),
    ...calibrationAucs,
  }
  if (form !== 'mean') figures[`${form}.auc`] = auc(heldOut, resampling)
  for (const name of others) {
    figures[`${name}.auc`] = auc(await trained[name]!.score(material[name]!.parts.heldOut), resampling)
  }
  return {
    trained: {
      model: chosen.model,
      // The rows of `gated` are tokens, not layers.
      features: { form, ...(form === 'gated' ? statesOf(examples, usable) : { layers, width }) },
      options: {
        ...options,
        kind: chosen.kind,
        skipped,
        bestEpochs: chosen.bestEpochs,
        calibration: chosen.calibration,
        calibratedOn: countSources(parts.calibration.map((index) => examples[index]!)),
        answers: { train: parts.train.length, calibration: parts.calibration.length },
        dropped: examples.length - mean.usable.length,
      },
      metrics: figures,
      heldOut: parts.heldOut,
      locked: parts.locked,
    },
  }
}

/** Returns the examples in the form's own input, or why they cannot be trained on. */
async function examplesOf(
  form: FormName,
  examples: readonly LabelledThought[],
): Promise<FormExamples | { readonly skipped: string }> {
  const { inputOf } = REWARD_FORMS[form]
  const inputs = examples.map((example) => ({ ...example, thought: inputOf(example.thought) ?? NO_STATES }))
  const usable = await usableOf(inputs)
  const assigned = assignAnswers(inputs, usable)
  if ('skipped' in assigned) return assigned
  return { ...assigned, examples: inputs, usable, groupOf: numberQuestions(examples) }
}

/** Input of an answer that lacks the states of a form; it is not usable. */
const NO_STATES = { data: new Float32Array(), layers: 0, width: 0 }

/**
 * Chooses by the calibration answers that all forms read. Fewer than ten questions with right and wrong ones among them choose
 * nothing: the first form is taken.
 */
function chooseForm(
  names: readonly FormName[],
  material: Partial<Record<FormName, FormExamples>>,
  trained: Partial<Record<FormName, TrainedForm>>,
): { readonly form: FormName; readonly calibrationAucs: Readonly<Record<string, Figure>> } {
  const [first, ...others] = names.map((name) => new Set(material[name]!.parts.calibration))
  const common = [...first!].filter((index) => others.every((indices) => indices.has(index)))
  const { examples, groupOf } = material.mean!
  const labels = common.map((index) => Number(examples[index]!.correct))
  const groups = common.map((index) => groupOf.get(examples[index]!.question)!)
  const scores = names.map((name) => {
    const place = new Map(material[name]!.parts.calibration.map((index, at) => [index, at]))
    return common.map((index) => trained[name]!.logits[place.get(index)!]!)
  })
  const aucs = scores.map((logits) => meanWithinQuestionAuc({ logits, labels, groups }))
  const isEnough = aucs[0]!.n >= MIN_QUESTIONS_FOR_INTERVAL
  return {
    form: names[isEnough ? chooseScores(scores, { labels, groups }) : 0]!,
    calibrationAucs: Object.fromEntries(names.map((name, at) => [`${name}.calibrationAuc`, aucs[at]!])),
  }
}

/** Layers and width of the states of tokens. */
function statesOf(examples: readonly LabelledThought[], usable: readonly number[]) {
  const { last, width } = examples[usable[0]!]!.thought
  return { layers: last!.length / width, width }
}

export interface AssignedAnswers {
  /** Indices of the usable examples of each part; without `self` labels where figures are measured. */
  readonly parts: Readonly<Record<Part, readonly number[]>>
  readonly layers: number
  readonly width: number
}

async function usableOf(examples: FormExamples['examples']): Promise<readonly number[]> {
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
function isUsable({ thought: { data, layers, width }, weight }: FormExamples['examples'][number]): boolean {
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
function numberQuestions(examples: readonly { readonly question: string }[]): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  for (const { question } of examples) if (!numbers.has(question)) numbers.set(question, numbers.size)
  return numbers
}
