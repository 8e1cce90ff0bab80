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
  expect(features).toEqual({ layers: LAYERS, width: WIDTH })
  expect(metrics['auc']!.low).toBeGreaterThan(0.9)
  expect(metrics['linear.auc']!.value).toBeLessThan(0.65)
  expect(metrics['ece']!.value).toBeLessThan(0.15)
  expect(Object.keys(metrics)).toEqual(['auc', 'f1', 'accuracy', 'ece', 'linear.auc'])
  for (const { n } of Object.values(metrics)) expect(n).toBe(heldOut.length)
  expect(options).toMatchObject({ dropped: 0, heldOutLabels: 'trusted' })
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
  const examples = syntheticThoughts(60, 4)
  const bytes = async (seed: number) =>
    Buffer.from(trainedOf(await trainRewardModel(graphRunner(), examples, run(seed), QUICK)).model)
  const first = await bytes(1)
  expect((await bytes(1)).equals(first)).toBe(true)
  expect((await bytes(2)).equals(first)).toBe(false)
})

test('labels of low weight hardly count, and figures are measured on trusted labels', async () => {
  // Two labels in three of every question are wrong and have a low weight.
  const examples = syntheticThoughts(120, 9).map((example, index) =>
    Math.floor(index / 120) % 3 === 0
      ? example
      : { ...example, correct: !example.correct, weight: 0.02, trusted: false },
  )
  const { metrics, heldOut, options } = trainedOf(
    await trainRewardModel(graphRunner(), examples, run(), { ...SMALL, members: 1 }),
  )
  expect(heldOut.every((index) => examples[index]!.trusted)).toBe(true)
  expect(options).toMatchObject({ heldOutLabels: 'trusted' })
  // With the same weight as the others they would reverse the ranking.
  expect(metrics['auc']!.value).toBeGreaterThan(0.75)
})

test('without trusted labels of both classes figures use all; `heldOutLabels` is `all`', async () => {
  const examples = syntheticThoughts(60, 4).map((example) => ({ ...example, trusted: example.correct }))
  const { heldOut, options } = trainedOf(await trainRewardModel(graphRunner(), examples, run(), QUICK))
  expect(options).toMatchObject({ heldOutLabels: 'all' })
  expect(heldOut.some((index) => !examples[index]!.trusted)).toBe(true)
})

test('trusted labels of too few questions for an interval are not used alone', async () => {
  const all = syntheticThoughts(60, 4)
  const { heldOut } = trainedOf(await trainRewardModel(graphRunner(), all, run(), QUICK))
  const spokenFor = new Set([...new Set(heldOut.map((index) => all[index]!.question))].slice(0, 9))
  const examples = all.map((example) => ({ ...example, trusted: spokenFor.has(example.question) }))
  const { metrics, options } = trainedOf(await trainRewardModel(graphRunner(), examples, run(), QUICK))
  expect(options).toMatchObject({ heldOutLabels: 'all' })
  expect(metrics['auc']).toMatchObject({ n: heldOut.length, low: expect.any(Number) })
})

test('thoughts that are not finite are left out and counted; shorter thoughts are used', async () => {
  const examples = syntheticThoughts(60, 5).map((example, index) => {
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
  expect(features).toEqual({ layers: LAYERS, width: WIDTH })
})

const wider = (example: LabelledThought, index: number): LabelledThought =>
  index % 2 === 0
    ? example
    : { ...example, thought: { data: new Float32Array(LAYERS * 8), layers: LAYERS, width: 8 } }

test.each([
  ['nothing', [], /no labelled answers/],
  [
    'NaN alone',
    syntheticThoughts(60, 2).map((example) => ({
      ...example,
      thought: { ...example.thought, data: example.thought.data.map(() => Number.NaN) },
    })),
    /no labelled answers \(120 unusable\)/,
  ],
  [
    'one class',
    syntheticThoughts(60, 2).map((each) => ({ ...each, correct: true })),
    /one class only.*right/,
  ],
  [
    'one class in a split',
    syntheticThoughts(60, 2).map((each, index) => ({ ...each, correct: index % 60 === 0 })),
    /one class only.*split are wrong/,
  ],
  ['few questions', syntheticThoughts(39, 20), /too few questions: expected 40 .* got 39/],
  ['two models', syntheticThoughts(60, 2).map(wider), /different widths: 6, 8/],
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
    syntheticThoughts(60, 4),
    { seed: 1, signal: stop.signal, onProgress: (share) => share > 0.3 && stop.abort() },
    SMALL,
  )
  await expect(training).rejects.toMatchObject({ code: 'ABORTED' })
  expect(runner.open()).toBe(0)
})
