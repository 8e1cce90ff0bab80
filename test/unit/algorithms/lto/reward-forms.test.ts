import { expect, test } from 'vitest'
import {
  type FormName,
  type LabelledThought,
  openRewardModel,
  type TrainedRewardModel,
  tokenMapsOf,
  trainRewardModel,
} from '#algorithms'
import { decodeModel, encodeModel } from '#onnx'
import { sumsOf } from '../../../../src/algorithms/lto/forms/gated.ts'
import { graphRunner } from '../../../support/graph-runner.ts'
import { placed } from '../../../support/placed.ts'
import { LAYERS, tracedThought, WIDTH } from '../../../support/traced-thoughts.ts'

const QUICK = { members: 1, hidden: 8, heads: 1, blocks: 1, feedForward: 8, epochs: 30, batch: 64, lr: 0.02 }

function examplesOf(shownIn: FormName, questions = 150, each = 4): LabelledThought[] {
  return Array.from({ length: questions * each }, (_, index) => {
    const correct = Math.floor(index / questions) % 2 === 0
    return {
      thought: tracedThought(correct, shownIn, index),
      correct,
      weight: 1,
      ...placed(`question ${index % questions}`, index % questions),
      source: 'reference',
    }
  })
}

async function trained(
  examples: readonly LabelledThought[],
  overrides: Parameters<typeof trainRewardModel>[3] = {},
): Promise<TrainedRewardModel> {
  const { signal } = new AbortController()
  const training = await trainRewardModel(
    graphRunner(),
    examples,
    { seed: 1, signal },
    { ...QUICK, ...overrides },
  )
  if ('skipped' in training) throw new Error(training.skipped)
  return training.trained
}

/** Each form is trained once for all tests. */
const known = new Map<FormName, Promise<TrainedRewardModel>>()
function trainedIn(form: FormName): Promise<TrainedRewardModel> {
  const training = known.get(form) ?? trained(examplesOf(form))
  known.set(form, training)
  return training
}

test.each<[FormName, readonly string[], object]>([
  ['mean', ['linear', 'transformer'], { layers: LAYERS, width: WIDTH }],
  ['last', ['linear', 'mlp'], { layers: 1, width: WIDTH }],
  ['gated', ['gated'], { layers: 1, width: WIDTH }],
])(
  'what only the form %s can see makes it the candidate',
  async (form, kinds, sizes) => {
    const { features, options, metrics, heldOut } = await trainedIn(form)
    expect(features).toEqual({ form, ...sizes })
    expect(kinds).toContain(options['kind'])
    expect(options).toMatchObject({ skipped: {} })
    for (const name of ['mean', 'last', 'gated']) {
      const { value, n } = metrics[`${name}.calibrationAuc`]!
      expect(n).toBe(28)
      if (name === form) expect(value).toBeGreaterThan(0.85)
      else expect(value).toBeLessThan(0.7)
    }
    expect(metrics['auc']!.value).toBeGreaterThan(0.8)
    const other = form === 'last' ? 'gated' : 'last'
    expect(metrics[`${other}.auc`]).toMatchObject({ n: heldOut.length })
    if (form !== 'mean') expect(metrics[`${form}.auc`]).toEqual(metrics['auc'])
    else expect(metrics).not.toHaveProperty(['mean.auc'])
  },
  30_000,
)

test('a form without the states that it reads is left out, with the reason', async () => {
  const bare = examplesOf('mean').map((example) => {
    const { data, layers, width } = example.thought
    return { ...example, thought: { data, layers, width } }
  })
  const { features, options, metrics } = await trained(bare)
  expect(features.form).toBe('mean')
  const reason = expect.stringContaining('no labelled answers')
  expect(options).toMatchObject({ skipped: { last: reason, gated: reason } })
  expect(metrics).not.toHaveProperty(['last.calibrationAuc'])
}, 30_000)

test('forms are compared on the answers that all of them read', async () => {
  const examples = examplesOf('gated')
  // Half of the calibration questions have no states of tokens: on them the form `mean` would be perfect.
  const questions = [
    ...new Set(examples.filter(({ part }) => part === 'calibration').map((one) => one.question)),
  ]
  const without = new Set(questions.filter((_, index) => index % 2 === 0))
  const partly = examples.map((example, index): LabelledThought => {
    if (!without.has(example.question)) return example
    const { data, layers, width } = tracedThought(example.correct, 'mean', index)
    return { ...example, thought: { data, layers, width } }
  })
  const { features, metrics } = await trained(partly)
  expect(features.form).toBe('gated')
  for (const form of ['mean', 'last', 'gated']) expect(metrics[`${form}.calibrationAuc`]!.n).toBe(14)
}, 30_000)

test('a few questions choose no form: chance would', async () => {
  const examples = examplesOf('gated')
  const questions = [
    ...new Set(examples.filter(({ part }) => part === 'calibration').map((one) => one.question)),
  ]
  const read = new Set(questions.slice(0, 9))
  const partly = examples.map((example): LabelledThought => {
    if (example.part !== 'calibration' || read.has(example.question)) return example
    const { data, layers, width, last } = example.thought
    return { ...example, thought: { data, layers, width, ...(last && { last }) } }
  })
  const { features, metrics } = await trained(partly)
  expect(metrics['gated.calibrationAuc']).toMatchObject({ n: 9, value: expect.closeTo(1, 0) })
  expect(features.form).toBe('mean')
}, 30_000)

test('a gated version scores by its maps as its graph scores states; other files are refused', async () => {
  const examples = examplesOf('gated')
  const { model, features, metrics, heldOut } = await trainedIn('gated')
  const identity = { version: 'lrm-2', ...features }
  const runner = graphRunner()
  const opened = await openRewardModel(runner, model, identity)
  expect(runner.open()).toBe(0)
  expect(opened.tokenMaps).toEqual(tokenMapsOf(model, identity))
  const thoughts = heldOut.map((index) => {
    const { tokens, ...thought } = examples[index]!.thought
    return { ...thought, gated: sumsOf(opened.tokenMaps!, tokens!) }
  })
  const scores = await opened.score(thoughts)
  const right = (place: number) => examples[heldOut[place]!]!.correct
  const agreeing = scores.filter((score, place) => score > 0.5 === right(place)).length / scores.length
  expect(agreeing).toBeCloseTo(metrics['accuracy']!.value, 5)

  await expect(opened.score([examples[0]!.thought])).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' })
  const shut = { ...thoughts[0]!, gated: { reward: 0, gate: 0 } }
  expect((await opened.score([shut]))[0]).toBeGreaterThan(0)
  const poisoned = { ...thoughts[0]!, gated: { reward: Number.NaN, gate: 1 } }
  await expect(opened.score([poisoned])).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })

  const decoded = decodeModel(model)
  const bare = { ...decoded, graph: { ...decoded.graph, initializers: new Map() } }
  const mean = await trainedIn('mean')
  for (const bytes of [new Uint8Array(), model.subarray(0, 99), mean.model, encodeModel(bare)]) {
    await expect(openRewardModel(runner, bytes, identity)).rejects.toMatchObject({
      code: 'ARTIFACT_INVALID',
      message: expect.stringContaining('lrm-2'),
    })
  }
  const wider = { ...identity, layers: 2 }
  await expect(openRewardModel(runner, model, wider)).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
  expect(runner.open()).toBe(0)
}, 30_000)
