import { describe, expect, test } from 'vitest'
import {
  compileTrainingStep,
  OPSET,
  type TrainableModel,
  type TrainingOptions,
  type TrainingStep,
  withParameters,
} from '#autodiff'
import { createModel, createTape, int, loadTensor, storeTensor, value } from '#onnx'
import { createRandom, float32, int64, type Tensor } from '#tensor'
import { T, tinyAttention, WIDTH } from '../../fixtures/tiny-attention.ts'
import { load } from '../../support/check-gradient.ts'
import { graphRunner } from '../../support/graph-runner.ts'

const OPTIONS: TrainingOptions = {
  lr: 0.02,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
  warmupSteps: 3,
  totalSteps: 10,
}

/** Loads a training step whose state is carried from run to run. */
async function startTraining(training: TrainingStep) {
  const graph = await graphRunner().load(training.bytes, training)
  return {
    /** Takes one step and returns the named scalars. */
    async step(feeds: Readonly<Record<string, Tensor>>, scalars: readonly string[]) {
      const fetched = await graph.run(feeds, scalars)
      return scalars.map((name) => Number(fetched[name]!.data[0]))
    },
    /** Returns the current state. */
    read: (names: readonly string[]) => graph.read(names),
  }
}

const numbers = (tensor: Tensor) => Array.from(tensor.data as Float32Array)

describe('a network of attention and LayerNorm', () => {
  const B = 16
  const random = createRandom(5)
  const tokens = Array.from({ length: B * T }, () => Math.floor(random.uniform() * 6))
  const feeds = {
    tokens: int64(tokens, [B, T]),
    targets: float32(Array.from({ length: B }, (_, b) => Math.sin(7 * tokens[b * T]! + tokens[b * T + 1]!))),
    keep: float32(new Float32Array(B * T * WIDTH).fill(1), [B, T, WIDTH]),
  }
  const options = { ...OPTIONS, weightDecay: 0, warmupSteps: 10, totalSteps: 300 }

  async function train(seed: number, steps: number) {
    const network = tinyAttention(seed)
    const step = compileTrainingStep(network, options)
    const training = await startTraining(step)
    const losses: number[] = []
    for (let i = 0; i < steps; i++) losses.push((await training.step(feeds, ['loss']))[0]!)
    return { network, losses, weights: await training.read(network.parameters) }
  }

  test('fits its training data', async () => {
    const { losses } = await train(1, 300)
    expect(losses[0]).toBeGreaterThan(0.3)
    expect(losses.at(-1)).toBeLessThan(1e-3)
  })

  test('gives bitwise equal weights for equal seeds, and different weights for different seeds', async () => {
    const [first, second, other] = [await train(2, 20), await train(2, 20), await train(3, 20)]
    expect(second.weights).toEqual(first.weights)
    expect(other.weights).not.toEqual(first.weights)
  })

  test('has the same loss with trained weights as initializers as in training', async () => {
    const { network, weights, losses } = await train(1, 50)
    const trained = withParameters(network.model, weights)
    const { loss } = await (await load(trained))(feeds)
    const again = compileTrainingStep({ ...network, model: trained }, options)
    const [first] = await (await startTraining(again)).step(feeds, ['loss'])
    expect(first).toBeCloseTo(Number(loss!.data[0]), 6)
    expect(first).toBeLessThan(losses[0]!)
  })
})

/**
 * Returns a network with loss = sum(g * w) + b * h: the gradients are inputs, so a step can be computed by
 * hand.
 */
function linearNetwork(): TrainableModel {
  const tape = createTape(['w', 'b', 'g', 'h'])
  const product = tape.op('ReduceSum', [tape.op('Mul', ['g', 'w'])], { keepdims: int(0) })
  const scalar = tape.op('ReduceSum', [tape.op('Mul', ['h', 'b'])], { keepdims: int(0) })
  tape.outputs(['loss'], 'Add', [product, scalar])
  const graph = tape.graph({
    name: 'linear',
    inputs: [value('g', 'float32', [2, 2]), value('h', 'float32', [1])],
    outputs: [value('loss', 'float32', [])],
    initializers: new Map([
      ['w', storeTensor(float32([1, -2, 3, -4], [2, 2]))],
      ['b', storeTensor(float32([0.5]))],
    ]),
  })
  return { model: createModel(graph, { '': OPSET }), parameters: ['w', 'b'], loss: 'loss' }
}

const learningRate = ({ lr, warmupSteps, totalSteps }: TrainingOptions, t: number) => {
  const progress = Math.min(1, Math.max(0, (t - warmupSteps) / (totalSteps - warmupSteps)))
  return lr * Math.min(1, (t + 1) / warmupSteps) * 0.5 * (1 + Math.cos(Math.PI * progress))
}

/** Computes AdamW in fp64, as PyTorch defines it. */
function adamW(p: number[], gradients: readonly number[][], decay: number, options: TrainingOptions) {
  const { beta1, beta2, epsilon } = options
  const m = p.map(() => 0)
  const v = p.map(() => 0)
  let after = p
  for (const [t, g] of gradients.entries()) {
    const lr = learningRate(options, t)
    after = after.map((parameter, i) => {
      m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!
      v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! ** 2
      const mHat = m[i]! / (1 - beta1 ** (t + 1))
      const vHat = v[i]! / (1 - beta2 ** (t + 1))
      return parameter * (1 - lr * decay) - (lr * mHat) / (Math.sqrt(vHat) + epsilon)
    })
  }
  return after
}

describe('a step', () => {
  const random = createRandom(9)
  const steps = Array.from({ length: 8 }, (_, t) => ({
    // Of different sizes: some gradients are clipped, some are not.
    g: Array.from({ length: 4 }, () => random.gaussian() * 2 ** (t % 4) * 0.2),
    h: [random.gaussian()],
  }))
  const feedsOf = ({ g, h }: { g: number[]; h: number[] }) => ({ g: float32(g, [2, 2]), h: float32(h) })
  const normOf = ({ g, h }: { g: number[]; h: number[] }) => Math.hypot(...g, ...h)

  test('applies AdamW to clipped gradients; matrices decay, vectors do not', async () => {
    // An epsilon large enough to matter.
    const options = { ...OPTIONS, epsilon: 0.05 }
    const training = await startTraining(compileTrainingStep(linearNetwork(), options))
    for (const step of steps) await training.step(feedsOf(step), [])
    const clipped = steps.map((step) => {
      const scale = Math.min(1, OPTIONS.clipNorm / normOf(step))
      return { g: step.g.map((x) => x * scale), h: step.h.map((x) => x * scale) }
    })
    expect(steps.some((step) => normOf(step) < 1) && steps.some((step) => normOf(step) > 2)).toBe(true)
    const w = adamW(
      [1, -2, 3, -4],
      clipped.map(({ g }) => g),
      options.weightDecay,
      options,
    )
    const b = adamW(
      [0.5],
      clipped.map(({ h }) => h),
      0,
      options,
    )
    const state = await training.read(['w', 'b', 'adam.step'])
    for (const [i, x] of numbers(state['w']!).entries()) expect(x).toBeCloseTo(w[i]!, 5)
    expect(numbers(state['b']!)[0]).toBeCloseTo(b[0]!, 5)
    expect(state['adam.step']!.data).toEqual(BigInt64Array.of(8n))
  })

  test('reports the norm before clipping and the learning rate', async () => {
    const compiled = compileTrainingStep(linearNetwork(), OPTIONS)
    const training = await startTraining(compiled)
    const rates: number[] = []
    for (const step of [...steps, ...steps]) {
      const { gradientNorm, lr } = compiled.outputs
      const [norm, rate] = await training.step(feedsOf(step), [gradientNorm, lr])
      expect(norm! / normOf(step)).toBeCloseTo(1, 5)
      rates.push(rate!)
    }
    // Three steps of warm-up, then decay to 0 at the tenth step.
    for (const [t, rate] of rates.entries()) expect(rate).toBeCloseTo(learningRate(OPTIONS, t), 7)
    expect(rates.slice(0, 4).map((rate) => rate.toFixed(5))).toEqual([
      '0.00667',
      '0.01333',
      '0.02000',
      '0.02000',
    ])
    expect(rates.slice(10).every((rate) => rate === 0)).toBe(true)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, 1e30])(
    'with a gradient of %d changes nothing and reports a norm that is not finite',
    async (bad) => {
      const compiled = compileTrainingStep(linearNetwork(), OPTIONS)
      const training = await startTraining(compiled)
      const names = Object.keys(compiled.state)
      await training.step(feedsOf(steps[0]!), [])
      const before = await training.read(names)
      const [norm] = await training.step(feedsOf({ g: [1, bad, 1, 1], h: [1] }), [
        compiled.outputs.gradientNorm,
      ])
      expect(Number.isFinite(norm)).toBe(false)
      expect(await training.read(names)).toEqual(before)
      await training.step(feedsOf(steps[1]!), [])
      expect((await training.read(['w']))['w']).not.toEqual(before['w'])
    },
  )

  test('keeps a resident data set as an input of the graph', async () => {
    const tape = createTape(['w', 'data', 'rows'])
    const batch = tape.op('MatMul', [tape.op('Gather', ['data', 'rows']), 'w'])
    tape.outputs(['loss'], 'ReduceMean', [tape.op('Mul', [batch, batch])], { keepdims: int(0) })
    const graph = tape.graph({
      name: 'resident',
      inputs: [value('data', 'float32', ['N', 2]), value('rows', 'int64', ['B'])],
      outputs: [value('loss', 'float32', [])],
      initializers: new Map([['w', storeTensor(float32([3, 1], [2, 1]))]]),
    })
    const model = createModel(graph, { '': OPSET })
    const training = await startTraining(
      compileTrainingStep({ model, parameters: ['w'], loss: 'loss' }, OPTIONS),
    )
    const data = float32([1, 0, 0, 1, 2, 2], [3, 2])
    const [loss] = await training.step({ data, rows: int64([0, 2]) }, ['loss'])
    expect(loss).toBeCloseTo((9 + 64) / 2, 5)
  })
})

describe('training refuses', () => {
  const code = (action: () => unknown) => {
    try {
      action()
    } catch (error) {
      return (error as { code?: string }).code
    }
    return undefined
  }

  test.each<Partial<TrainingOptions>>([
    { lr: 0 },
    { lr: Number.NaN },
    { beta1: 1 },
    { beta2: -0.1 },
    { epsilon: 0 },
    { weightDecay: -1 },
    { clipNorm: 0 },
    { warmupSteps: 0.5 },
    { totalSteps: 0 },
  ])('options out of range: %j', (option) => {
    expect(code(() => compileTrainingStep(linearNetwork(), { ...OPTIONS, ...option }))).toBe(
      'REQUEST_INVALID',
    )
  })

  test('parameters that are not float32 initializers', () => {
    const network = linearNetwork()
    expect(code(() => compileTrainingStep({ ...network, parameters: ['w', 'g'] }, OPTIONS))).toBe(
      'GRAPH_PRECONDITION',
    )
    expect(code(() => compileTrainingStep({ ...network, parameters: ['nothing'] }, OPTIONS))).toBe(
      'NOT_DIFFERENTIABLE',
    )
  })

  test('weights of another name, type or shape', () => {
    const { model } = linearNetwork()
    expect(code(() => withParameters(model, { v: float32([1]) }))).toBe('GRAPH_PRECONDITION')
    expect(code(() => withParameters(model, { b: int64([1]) }))).toBe('GRAPH_PRECONDITION')
    expect(code(() => withParameters(model, { w: float32([1, 2, 3, 4]) }))).toBe('SHAPE_MISMATCH')
    expect(loadTensor(withParameters(model, { b: float32([7]) }).graph.initializers.get('b')!).data[0]).toBe(
      7,
    )
  })
})
