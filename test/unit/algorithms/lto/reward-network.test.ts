import { expect, test } from 'vitest'
import { differentiate } from '#autodiff'
import { encodeModel } from '#onnx'
import { createRandom, createTensor, float32, int64, type Tensor } from '#tensor'
import { meanCrossEntropy, UNCALIBRATED } from '../../../../src/algorithms/lto/calibrate.ts'
import type { RewardArchitecture } from '../../../../src/algorithms/lto/forms/reward-form.ts'
import {
  compileRewardModel,
  compileRewardTraining,
  dropoutMasks,
} from '../../../../src/algorithms/lto/reward-graphs.ts'
import { createParameters } from '../../../../src/algorithms/lto/reward-network.ts'
import {
  type Standardisation,
  stackThoughts,
  standardisation,
} from '../../../../src/algorithms/lto/standardise.ts'
import { graphRunner } from '../../../support/graph-runner.ts'

const WIDTH = 5
const architecture = (changes: Partial<RewardArchitecture> = {}): RewardArchitecture => ({
  kind: 'transformer',
  layers: 4,
  width: WIDTH,
  hidden: 8,
  heads: 2,
  blocks: 2,
  feedForward: 12,
  ...changes,
})

/** Thought of `layers` states; the first states of a seed are the same for every number of layers. */
function thought(seed: number, layers: number) {
  const random = createRandom(seed)
  return {
    data: Float32Array.from({ length: layers * WIDTH }, () => random.gaussian()),
    layers,
    width: WIDTH,
  }
}

const THOUGHTS = [1, 2, 3, 4, 5, 6].map((seed) => thought(seed, 4))

/** Initial parameters plus noise, since initial biases are 0 and initial norms are the identity. */
function parameters(of: RewardArchitecture) {
  const random = createRandom(77)
  return new Map(
    [...createParameters(of, 3)].map(([name, { shape, data }]) => [
      name,
      createTensor(
        'float32',
        shape,
        data.map((value) => value + 0.1 * random.gaussian()),
      ),
    ]),
  )
}

function firstLayers({ mean, inverseDeviation }: Standardisation, layers: number): Standardisation {
  const cut = ({ data }: Tensor<'float32'>) => float32(data.subarray(0, layers * WIDTH), [layers, WIDTH])
  return { mean: cut(mean), inverseDeviation: cut(inverseDeviation) }
}

async function run(
  of: RewardArchitecture,
  standard: Standardisation,
  thoughts: Tensor,
  calibration = UNCALIBRATED,
) {
  const model = compileRewardModel(of, standard, [parameters(of)], calibration)
  const graph = await graphRunner().load(encodeModel(model))
  const { logit, probability } = await graph.run({ thoughts }, ['logit', 'probability'])
  await graph.close()
  return { logits: [...(logit.data as Float32Array)], probabilities: [...(probability.data as Float32Array)] }
}

function expectClose(actual: readonly number[], expected: readonly number[]) {
  expect(actual.length).toBe(expected.length)
  actual.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 4)
  })
}

test('padding states change nothing: a network of fewer layers gives the same logits', async () => {
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const short = [1, 2, 3].map((seed) => thought(seed, 2))
  const padded = await run(architecture(), standard, stackThoughts([...short, ...THOUGHTS], 4, WIDTH))
  const exact = await run(
    architecture({ layers: 2 }),
    firstLayers(standard, 2),
    stackThoughts(short, 2, WIDTH),
  )
  expectClose(padded.logits.slice(0, 3), exact.logits)
  // States are read when present: a longer thought with the same beginning scores differently.
  expect(Math.abs(padded.logits[0]! - padded.logits[3]!)).toBeGreaterThan(1e-3)
})

test('a thought scores the same in any batch, and the order of its layers matters', async () => {
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const together = await run(architecture(), standard, stackThoughts(THOUGHTS, 4, WIDTH))
  const alone = await run(architecture(), standard, stackThoughts([THOUGHTS[2]!], 4, WIDTH))
  expectClose(alone.logits, [together.logits[2]!])
  const { data } = THOUGHTS[2]!
  const swapped = Float32Array.from([
    ...data.subarray(WIDTH, 2 * WIDTH),
    ...data.subarray(0, WIDTH),
    ...data.subarray(2 * WIDTH),
  ])
  const turned = await run(
    architecture(),
    {
      mean: float32(new Float32Array(20), [4, 5]),
      inverseDeviation: float32(new Float32Array(20).fill(1), [4, 5]),
    },
    stackThoughts([THOUGHTS[2]!, { data: swapped, layers: 4, width: WIDTH }], 4, WIDTH),
  )
  expect(Math.abs(turned.logits[0]! - turned.logits[1]!)).toBeGreaterThan(1e-3)
})

test('the linear probe is a dot product of standardised states', async () => {
  const probe = architecture({ kind: 'linear', layers: 2 })
  const thoughts = THOUGHTS.map(({ data }) => ({ data: data.subarray(0, 10), layers: 2, width: WIDTH }))
  const standard = await standardisation(thoughts, 2, WIDTH)
  const { logits } = await run(probe, standard, stackThoughts(thoughts, 2, WIDTH))
  const learned = parameters(probe)
  const weight = learned.get('probe.weight')!.data
  expectClose(
    logits,
    thoughts.map(({ data }) => {
      const values = data.map((x, i) => (x - standard.mean.data[i]!) * standard.inverseDeviation.data[i]!)
      return values.reduce((sum, x, i) => sum + x * weight[i]!, learned.get('probe.bias')!.data[0]!)
    }),
  )
})

test('calibration is part of the graph', async () => {
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const thoughts = stackThoughts(THOUGHTS, 4, WIDTH)
  const { logits, probabilities } = await run(architecture(), standard, thoughts, { scale: 0.4, bias: -0.7 })
  expectClose(
    probabilities,
    logits.map((logit) => 1 / (1 + Math.exp(0.7 - 0.4 * logit))),
  )
})

test('standardised training thoughts have mean 0 and deviation 1; a constant feature stays small', async () => {
  const thoughts = Array.from({ length: 400 }, (_, seed) => {
    const { data, ...shape } = thought(seed, 2)
    return { ...shape, data: data.map((value, i) => (i % WIDTH === 4 ? 3 : 1e3 + 20 * value)) }
  })
  const { mean, inverseDeviation } = await standardisation(thoughts, 2, WIDTH)
  for (let i = 0; i < 2 * WIDTH; i++) {
    const values = thoughts.map(({ data }) => (data[i]! - mean.data[i]!) * inverseDeviation.data[i]!)
    const average = values.reduce((sum, value) => sum + value, 0) / values.length
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length
    expect(average).toBeCloseTo(0, 4)
    expect(square).toBeCloseTo(i % WIDTH === 4 ? 0 : 1, 3)
    expect(Number.isFinite(inverseDeviation.data[i]!)).toBe(true)
  }
})

test('members are averaged by logit', async () => {
  const of = architecture()
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const thoughts = stackThoughts(THOUGHTS, 4, WIDTH)
  const members = [parameters(of), createParameters(of, 8), createParameters(of, 9)]
  const logitsOf = async (some: typeof members) => {
    const graph = await graphRunner().load(encodeModel(compileRewardModel(of, standard, some, UNCALIBRATED)))
    const { logit } = await graph.run({ thoughts }, ['logit'])
    await graph.close()
    return [...(logit.data as Float32Array)]
  }
  const alone = await Promise.all(members.map((member) => logitsOf([member])))
  expectClose(
    await logitsOf(members),
    alone[0]!.map((_, row) => (alone[0]![row]! + alone[1]![row]! + alone[2]![row]!) / 3),
  )
})

test('the training loss is cross-entropy plus the pair term of the served logits, on the rows fed', async () => {
  const of = architecture()
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const thoughts = stackThoughts(THOUGHTS, 4, WIDTH)
  const labels = [1, 0, 0, 1, 1, 0]
  const weights = [1, 0.5, 0.25, 1, 0.1, 0.7]
  const rows = [4, 1, 3, 2]
  // Rows 4 and 1 are a pair of one question, rows 3 and 2 of another; 3 and 1 of different ones.
  const groups = [9, 7, 8, 8, 7, 9]
  const { logits } = await run(of, standard, thoughts)
  const training = compileRewardTraining(of, standard, parameters(of), {
    answers: 6,
    batch: 4,
    dropout: 0,
    pairWeight: 0.5,
  })
  const graph = await graphRunner().load(encodeModel(training.model), {
    state: {
      thoughts,
      labels: float32(labels),
      weights: float32(weights),
      groups: float32(groups),
    },
  })
  const { loss } = await graph.run({ rows: int64(rows) }, ['loss'])
  const pick = (values: readonly number[]) => rows.map((row) => values[row]!)
  const pairs = [
    [4, 1],
    [3, 2],
  ] as const
  const mass = ([right, wrong]: readonly [number, number]) => weights[right]! * weights[wrong]!
  const pairLoss = pairs.reduce((sum, pair) => {
    const [right, wrong] = pair
    return sum + mass(pair) * Math.log1p(Math.exp(logits[wrong]! - logits[right]!))
  }, 0)
  const pairMass = mass(pairs[0]) + mass(pairs[1])
  expect(loss.data[0]).toBeCloseTo(
    meanCrossEntropy({ logits: pick(logits), labels: pick(labels), weights: pick(weights) }) +
      (0.5 * pairLoss) / pairMass,
    4,
  )
  await graph.close()
})

test('dropout drops the units that its masks exclude', async () => {
  const of = architecture()
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const initial = createParameters(of, 3) // all biases 0
  const { model } = compileRewardTraining(of, standard, initial, {
    answers: 6,
    batch: 3,
    dropout: 0.25,
    pairWeight: 0,
  })
  const state = {
    thoughts: stackThoughts(THOUGHTS, 4, WIDTH),
    labels: float32([1, 1, 1, 0, 0, 0]),
    weights: float32([1, 1, 1, 1, 1, 1]),
  }
  const graph = await graphRunner().load(encodeModel(model), { state })
  const masks = dropoutMasks(of, 3)
  const lossOf = async (keeps: (place: number) => number) => {
    const fed = masks.map(({ name, shape }, place) => {
      const units = shape.reduce((product, dim) => product * dim, 1)
      return [name, createTensor('bool', shape, new Uint8Array(units).fill(keeps(place)))] as const
    })
    const { loss } = await graph.run({ rows: int64([0, 3, 5]), ...Object.fromEntries(fed) }, ['loss'])
    return loss.data[0] as number
  }
  const all = await lossOf(() => 1)
  const each = await Promise.all(masks.map((_, dropped) => lossOf((place) => (place === dropped ? 0 : 1))))
  for (const loss of each) expect(Math.abs(loss - all)).toBeGreaterThan(1e-5)
  // The head's output is dropped: the logit is the bias 0, and the cross-entropy at p = .5 is ln 2.
  expect(each.at(-1)).toBeCloseTo(Math.LN2, 6)
  await graph.close()
})

test.each([
  ['no states', { data: new Float32Array(), layers: 0, width: WIDTH }],
  ['too many states', thought(1, 5)],
  ['another width', { data: new Float32Array(8), layers: 2, width: 4 }],
])('thoughts of %s are refused', (_name, odd) => {
  expect(() => stackThoughts([odd], 4, WIDTH)).toThrow(expect.objectContaining({ code: 'SHAPE_MISMATCH' }))
})

test('the gradient of the loss with the pair term agrees with central differences', async () => {
  const of = architecture({ blocks: 1 })
  const standard = await standardisation(THOUGHTS, 4, WIDTH)
  const initial = parameters(of)
  const { model } = compileRewardTraining(of, standard, initial, {
    answers: 6,
    batch: 6,
    dropout: 0,
    pairWeight: 4,
  })
  const feeds = {
    thoughts: stackThoughts(THOUGHTS, 4, WIDTH),
    labels: float32([1, 0, 0, 1, 1, 0]),
    weights: float32([1, 0.5, 0.25, 1, 0.1, 0.7]),
    groups: float32([1, 1, 1, 2, 2, 2]),
    rows: int64([0, 1, 2, 3, 4, 5]),
  }
  const name = 'head.weight'
  const { model: withGradient, gradients } = differentiate(model, { loss: 'loss', wrt: [name] })
  const graph = await graphRunner().load(encodeModel(withGradient))
  const gradient = (await graph.run(feeds, [gradients.get(name)!]))[gradients.get(name)!]!
    .data as Float32Array
  await graph.close()

  const lossWith = async (index: number, change: number) => {
    const { shape, data } = initial.get(name)!
    const moved = createTensor(
      'float32',
      shape,
      data.map((value, at) => (at === index ? value + change : value)),
    )
    const { model: shifted } = compileRewardTraining(of, standard, new Map(initial).set(name, moved), {
      answers: 6,
      batch: 6,
      dropout: 0,
      pairWeight: 4,
    })
    const loaded = await graphRunner().load(encodeModel(shifted))
    const { loss } = await loaded.run(feeds, ['loss'])
    await loaded.close()
    return loss.data[0] as number
  }
  const step = 1e-2
  const norms = Math.hypot(...gradient)
  for (const index of [0, 9, 18, 27, 36, 45, 54, 63]) {
    const numeric = ((await lossWith(index, step)) - (await lossWith(index, -step))) / (2 * step)
    expect(Math.abs(gradient[index]! - numeric)).toBeLessThan(5e-3 * norms + 1e-4)
  }
})
