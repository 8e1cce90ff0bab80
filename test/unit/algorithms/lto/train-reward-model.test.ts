import { expect, test } from 'vitest'
import {
  auc,
  type LabelledThought,
  openRewardModel,
  type TrainedRewardModel,
  type Training,
  trainRewardModel,
} from '#algorithms'
import { graphRunner } from '../../../support/graph-runner.ts'
import { LAYERS, SMALL, syntheticThoughts, WIDTH } from '../../../support/synthetic-thoughts.ts'

const run = (seed = 1) => ({ seed, signal: new AbortController().signal })
const QUICK = { ...SMALL, epochs: 2, members: 1 }

function trainedOf(training: Training<TrainedRewardModel>): TrainedRewardModel {
  if ('skipped' in training) throw new Error(training.skipped)
  return training.trained
}

test('learns what no linear probe can; its figures match the served graph', async () => {
  const examples = syntheticThoughts(120, 6)
  const runner = graphRunner()
  const shares: number[] = []
  const training = await trainRewardModel(
    runner,
    examples,
    { ...run(), onProgress: (share) => shares.push(share) },
    SMALL,
  )
  const { model, features, metrics, heldOut, options } = trainedOf(training)
  expect(features).toEqual({ form: 'mean', layers: LAYERS, width: WIDTH })
  expect(metrics['auc']!.low).toBeGreaterThan(0.9)
  expect(metrics['linear.auc']!.value).toBeLessThan(0.65)
  expect(metrics['ece']!.value).toBeLessThan(0.15)
  expect(metrics['transformer.auc']).toEqual(metrics['auc'])
  for (const name of ['auc', 'f1', 'accuracy', 'ece', 'linear.auc', 'transformer.auc'])
    expect(metrics[name]!.n).toBe(heldOut.length)
  expect(options).toMatchObject({ dropped: 0, kind: 'transformer', calibratedOn: { reference: 132 } })
  expect(shares).toEqual([...shares].sort((a, b) => a - b))
  expect(shares.at(-1)).toBe(1)

  const opened = await openRewardModel(runner, model, { version: 'lrm-1', ...features })
  const scores = await opened.score(heldOut.map((index) => examples[index]!.thought))
  const again = auc(
    heldOut.map((index, place) => ({ ...examples[index]!, score: scores[place]! })),
    { seed: 1 },
  )
  expect(again).toEqual(metrics['auc'])
  await opened.close()
  expect(runner.open()).toBe(0)
})

test('the same examples and seed give the same bytes, another seed different ones', async () => {
  const examples = syntheticThoughts(100, 4)
  const bytes = async (seed: number) =>
    Buffer.from(trainedOf(await trainRewardModel(graphRunner(), examples, run(seed), QUICK)).model)
  const first = await bytes(1)
  expect((await bytes(1)).equals(first)).toBe(true)
  expect((await bytes(2)).equals(first)).toBe(false)
})

test('labels of low weight hardly count, and no figure is measured on labels of the model itself', async () => {
  // Two labels in three of every question are wrong and have a low weight.
  const examples = syntheticThoughts(120, 9).map(
    (example, index): LabelledThought =>
      Math.floor(index / 120) % 3 === 0
        ? example
        : { ...example, correct: !example.correct, weight: 0.02, source: 'self' },
  )
  const { metrics, heldOut, options } = trainedOf(
    await trainRewardModel(graphRunner(), examples, run(), { ...SMALL, members: 1 }),
  )
  expect(heldOut.length).toBe(66)
  expect(heldOut.every((index) => examples[index]!.source === 'reference')).toBe(true)
  expect(options).toMatchObject({ calibratedOn: { reference: 66 } })
  // With the same weight as the others they would reverse the ranking.
  expect(metrics['auc']!.value).toBeGreaterThan(0.75)
})

test('labels of the model itself alone train a model, which names them and has no figures', async () => {
  const examples = syntheticThoughts(100, 4).map(
    (example): LabelledThought => ({ ...example, source: 'self' }),
  )
  const { metrics, heldOut, options } = trainedOf(
    await trainRewardModel(graphRunner(), examples, run(), QUICK),
  )
  expect(heldOut).toEqual([])
  expect(metrics['auc']!.value).toBeNaN()
  expect(options).toMatchObject({ calibratedOn: { self: 72 } })
})

test('is calibrated on all labels, counted by source, when feedback covers too few questions', async () => {
  const all = syntheticThoughts(100, 4)
  const calibrating = [
    ...new Set(all.filter(({ part }) => part === 'calibration').map((each) => each.cluster)),
  ]
  const calibratedOn = async (clusters: readonly string[]) => {
    const spokenFor = new Set(clusters)
    const examples = all.map(
      (example): LabelledThought => ({
        ...example,
        source: spokenFor.has(example.cluster) ? 'feedback' : 'self',
      }),
    )
    return trainedOf(await trainRewardModel(graphRunner(), examples, run(), QUICK)).options['calibratedOn']
  }
  expect(calibrating).toHaveLength(18)
  expect(await calibratedOn(calibrating.slice(0, 9))).toEqual({ feedback: 36, self: 36 })
  expect(await calibratedOn(calibrating.slice(0, 10))).toEqual({ feedback: 40 })
})

test('trains on the part `train` alone: other parts may hold anything', async () => {
  const examples = syntheticThoughts(100, 4)
  const poisoned = examples.map((example) =>
    example.part === 'heldOut' ? { ...example, correct: !example.correct } : example,
  )
  const [model, again] = [
    trainedOf(await trainRewardModel(graphRunner(), examples, run(), QUICK)).model,
    trainedOf(await trainRewardModel(graphRunner(), poisoned, run(), QUICK)).model,
  ]
  expect(Buffer.from(again).equals(Buffer.from(model))).toBe(true)
})

test('locked answers have figures of their own and are not among those of the gate', async () => {
  const examples = syntheticThoughts(100, 4).map((example) =>
    example.part === 'heldOut' ? { ...example, part: 'locked' as const } : example,
  )
  const { metrics, heldOut, locked } = trainedOf(
    await trainRewardModel(graphRunner(), examples, run(), QUICK),
  )
  expect(heldOut).toEqual([])
  expect(metrics['locked.auc']).toMatchObject({ n: locked.length, low: expect.any(Number) })
})

test('the linear probe ships when it orders the answers of one question better', async () => {
  // Right answers lie on one side of a plane: a probe learns it in the few steps that the transformer gets.
  const examples = syntheticThoughts(100, 4).map((example) => {
    const data = example.thought.data.map((value, at) => (at === 2 ? (example.correct ? 1 : -1) : value))
    return { ...example, thought: { ...example.thought, data } }
  })
  const { options, metrics } = trainedOf(
    await trainRewardModel(graphRunner(), examples, run(), { ...QUICK, epochs: 30, lr: 1e-5 }),
  )
  expect(options['kind']).toBe('linear')
  expect(metrics['auc']).toEqual(metrics['linear.auc'])
})

test('thoughts that are not finite are left out and counted; shorter thoughts are used', async () => {
  const examples = syntheticThoughts(100, 3).map((example, index) => {
    const { data, ...shape } = example.thought
    if (index % 25 === 0) return { ...example, thought: { ...shape, data: data.map(() => Number.NaN) } }
    if (index % 25 === 1) return { ...example, thought: { ...shape, data: data.subarray(1) } }
    if (index % 2 === 0) {
      return { ...example, thought: { data: data.subarray(WIDTH), layers: LAYERS - 1, width: WIDTH } }
    }
    return example
  })
  const { options, heldOut, features } = trainedOf(
    await trainRewardModel(graphRunner(), examples, run(), QUICK),
  )
  expect(options).toMatchObject({ dropped: 24 })
  expect(heldOut.every((index) => examples[index]!.thought.data.every(Number.isFinite))).toBe(true)
  expect(features).toEqual({ form: 'mean', layers: LAYERS, width: WIDTH })
})

const wider = (example: LabelledThought, index: number): LabelledThought =>
  index % 2 === 0
    ? example
    : { ...example, thought: { data: new Float32Array(LAYERS * 8), layers: LAYERS, width: 8 } }

test.each([
  ['nothing', [], /no labelled answers/],
  [
    'NaN alone',
    syntheticThoughts(100, 2).map((example) => ({
      ...example,
      thought: { ...example.thought, data: example.thought.data.map(() => Number.NaN) },
    })),
    /no labelled answers \(200 unusable\)/,
  ],
  [
    'one class',
    syntheticThoughts(100, 2).map((each) => ({ ...each, correct: true })),
    /one class only.*right/,
  ],
  [
    'one class in a split',
    syntheticThoughts(100, 2).map((each, index) => ({ ...each, correct: index % 100 === 4 })),
    /one class only.*part calibration are wrong/,
  ],
  ['few questions', syntheticThoughts(36, 2), /too few questions in the part calibration: expected 8, got 7/],
  ['two models', syntheticThoughts(100, 2).map(wider), /different widths: 6, 8/],
])('%s to learn from is skipped, with the reason', async (_name, examples, reason) => {
  const runner = graphRunner()
  expect(await trainRewardModel(runner, examples, run(), QUICK)).toEqual({
    skipped: expect.stringMatching(reason),
  })
  expect(runner.open()).toBe(0)
})

test('a stop signal ends training at the next step and leaves no graph loaded', async () => {
  const runner = graphRunner()
  const stop = new AbortController()
  const training = trainRewardModel(
    runner,
    syntheticThoughts(100, 4),
    { seed: 1, signal: stop.signal, onProgress: (share) => share > 0.3 && stop.abort() },
    SMALL,
  )
  await expect(training).rejects.toMatchObject({ code: 'ABORTED' })
  expect(runner.open()).toBe(0)
})
