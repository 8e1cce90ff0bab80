import { describe, expect, test } from 'vitest'
import { openWeaver, type TrainedWeaver, type Training, trainWeaver, type WeaverExample } from '#algorithms'
import { encodeModel } from '#onnx'
import { norm } from '#tensor'
import { latentScale } from '../../../../src/algorithms/latent-evolve/weaver-examples.ts'
import { compileWeaver } from '../../../../src/algorithms/latent-evolve/weaver-graphs.ts'
import { createWeaverParameters } from '../../../../src/algorithms/latent-evolve/weaver-network.ts'
import { graphRunner } from '../../../support/graph-runner.ts'
import { LATENTS, SMALL, syntheticEpisodes, WIDTH } from '../../../support/synthetic-episodes.ts'

const run = (seed = 1) => ({ seed, signal: new AbortController().signal })
/** Timeout for training on a busy machine. */
const PATIENT = { timeout: 30_000 }
const QUICK = { ...SMALL, epochs: 2 }

function trainedOf(training: Training<TrainedWeaver>): TrainedWeaver {
  if ('skipped' in training) throw new Error(training.skipped)
  return training.trained
}

function shiftNorm({ zBase }: WeaverExample, z: { readonly data: Float32Array }, position: number): number {
  const at = (data: Float32Array) => data.subarray(position * WIDTH, (position + 1) * WIDTH)
  return norm(at(z.data).map((value, feature) => value - at(zBase.data)[feature]!))
}

describe('a weaver', () => {
  test(
    'learns shifts by query, position and z_base; its figures match the served graph on held-out questions',
    PATIENT,
    async () => {
      const examples = syntheticEpisodes(200)
      const runner = graphRunner()
      const shares: number[] = []
      const training = await trainWeaver(
        runner,
        examples,
        { ...run(), onProgress: (share) => shares.push(share) },
        SMALL,
      )
      const { model, features, metrics, heldOut, options } = trainedOf(training)

      expect(features).toEqual({ latents: LATENTS, width: WIDTH })
      expect(metrics.explained.low).toBeGreaterThan(0.8)
      expect(metrics.mse.value).toBeLessThan(0.2 * metrics['mse.identity'].value)
      expect(metrics.mse.n).toBe(heldOut.length)
      expect(options).toMatchObject({ dropped: 0, start: 'cold' })
      expect(shares).toEqual([...shares].sort((a, b) => a - b))
      expect(shares.at(-1)).toBe(1)

      const weaver = await openWeaver(runner, model, { version: 'weaver-1', ...features })
      const unseen = heldOut.map((index) => examples[index]!)
      const woven = await weaver.apply(unseen)
      let [squares, count] = [0, 0]
      for (const [index, { zStar }] of unseen.entries()) {
        for (const [at, value] of zStar.data.entries()) {
          squares += (value - woven[index]!.data[at]!) ** 2
          count += 1
        }
      }
      expect(squares / count).toBeCloseTo(metrics.mse.value, 5)
      await weaver.close()
      expect(runner.open()).toBe(0)
    },
  )

  test('is the identity, bit for bit, before training', async () => {
    const architecture = { latents: LATENTS, width: WIDTH, hidden: 16, blocks: 2 }
    const examples = syntheticEpisodes(12)
    const untrained = compileWeaver(
      architecture,
      latentScale(examples, LATENTS, WIDTH),
      createWeaverParameters(architecture, 1),
      { maxShift: 1 },
    )
    const identity = { version: 'weaver-0', latents: LATENTS, width: WIDTH }
    const weaver = await openWeaver(graphRunner(), encodeModel(untrained), identity)

    expect(await weaver.apply(examples)).toEqual(examples.map(({ zBase }) => zBase))
  })

  test('is the same bytes for the same examples and seed, different bytes for another seed', async () => {
    const examples = syntheticEpisodes(100)
    const bytes = async (seed: number) =>
      Buffer.from(trainedOf(await trainWeaver(graphRunner(), examples, run(seed), QUICK)).model)
    const first = await bytes(1)

    expect((await bytes(1)).equals(first)).toBe(true)
    expect((await bytes(2)).equals(first)).toBe(false)
  })

  test('never trains on a held-out question', async () => {
    const examples = syntheticEpisodes(100)
    const { heldOut, model } = trainedOf(await trainWeaver(graphRunner(), examples, run(), QUICK))
    const poisoned = examples.map((example, index) =>
      heldOut.includes(index)
        ? { ...example, zStar: { ...example.zStar, data: example.zBase.data.map(() => 9) } }
        : example,
    )
    const again = trainedOf(await trainWeaver(graphRunner(), poisoned, run(), QUICK))

    expect(Buffer.from(again.model).equals(Buffer.from(model))).toBe(true)
    expect(again.heldOut).toEqual(heldOut)
    expect(heldOut.length).toBeGreaterThanOrEqual(10)
  })

  test('counts episodes by weight', PATIENT, async () => {
    // Every other episode has the opposite shift and a weight near 0.
    const examples = syntheticEpisodes(200).map((example, index) => {
      if (index % 8 < 5) return example
      const { zBase, zStar } = example
      const data = zBase.data.map((value, at) => 2 * value - zStar.data[at]!)
      return { ...example, zStar: { ...zStar, data }, weight: 0.001 }
    })
    const { metrics } = trainedOf(await trainWeaver(graphRunner(), examples, run(), SMALL))
    const deaf = trainedOf(
      await trainWeaver(
        graphRunner(),
        examples.map((example) => ({ ...example, weight: 1 })),
        run(),
        SMALL,
      ),
    )

    expect(metrics.explained.value).toBeGreaterThan(0.75)
    expect(deaf.metrics.explained.value).toBeLessThan(0.3)
  })
})

describe('guards against poisoned episodes', () => {
  const FAR = 1e4

  test('no target and no output of the served graph is further than maxShift from its z_base', async () => {
    const maxShift = 0.5
    const examples = syntheticEpisodes(80).map((example) => ({
      ...example,
      zStar: { ...example.zStar, data: example.zStar.data.map(() => FAR) },
    }))
    const { model, features, metrics } = trainedOf(
      await trainWeaver(graphRunner(), examples, run(), { ...SMALL, epochs: 20, maxShift }),
    )
    const weaver = await openWeaver(graphRunner(), model, { version: 'weaver-1', ...features })
    const woven = await weaver.apply(examples)

    expect(metrics['mse.identity'].value).toBeLessThan(10)
    let clipped = 0
    for (const [index, example] of examples.entries()) {
      for (let position = 0; position < example.zBase.length; position++) {
        const from = norm(example.zBase.data.subarray(position * WIDTH, (position + 1) * WIDTH))
        const moved = shiftNorm(example, woven[index]!, position)
        expect(moved).toBeLessThanOrEqual(maxShift * from * (1 + 1e-5))
        clipped += Number(moved > 0.999 * maxShift * from)
      }
    }
    expect(clipped).toBeGreaterThan(0)
  })

  test('unusable episodes are left out and counted', async () => {
    const whole = syntheticEpisodes(100)
    const [first] = whole
    const { zBase, zStar, embedding } = first!
    const broken: Partial<WeaverExample>[] = [
      { zStar: { ...zStar, data: zStar.data.map(() => Number.NaN) } },
      { zBase: { ...zBase, data: zBase.data.map(() => Number.POSITIVE_INFINITY) } },
      { zBase: { ...zBase, data: new Float32Array(3) } },
      { zBase: { ...zBase, data: new Float32Array(), length: 0 } },
      { zStar: { data: new Float32Array(4), length: 1, width: 4 } },
      { embedding: embedding.subarray(1) },
      { weight: 0 },
      { weight: Number.NaN },
    ]
    const examples = [
      ...whole,
      ...broken.map((part, index) => ({ ...first!, question: `b ${index}`, ...part })),
    ]
    const { model, options } = trainedOf(await trainWeaver(graphRunner(), examples, run(), QUICK))
    const clean = trainedOf(await trainWeaver(graphRunner(), whole, run(), QUICK))

    expect(options['dropped']).toBe(broken.length)
    expect(Buffer.from(model).equals(Buffer.from(clean.model))).toBe(true)
  })
})

describe('a warm start', () => {
  test('starts from the active weaver when that validates better than a cold start', PATIENT, async () => {
    const examples = syntheticEpisodes(200)
    const active = trainedOf(await trainWeaver(graphRunner(), examples, run(), SMALL))
    const short = { ...SMALL, epochs: 3, lr: 1e-3 }
    const cold = trainedOf(await trainWeaver(graphRunner(), examples, run(), short))
    const warm = trainedOf(
      await trainWeaver(graphRunner(), examples, run(), { ...short, warmStart: active.model }),
    )

    expect(warm.options).toMatchObject({ start: 'warm' })
    expect(warm.options['validationLoss']).toMatchObject(cold.options['validationLoss'] as object)
    expect(warm.metrics.mse.value).toBeLessThan(0.5 * cold.metrics.mse.value)
  })

  test('loses to a cold start that validates better', PATIENT, async () => {
    const wrong = syntheticEpisodes(200).map((example) => ({
      ...example,
      embedding: example.embedding.map((value) => -value),
    }))
    const misled = trainedOf(await trainWeaver(graphRunner(), wrong, run(), SMALL))
    const { options } = trainedOf(
      await trainWeaver(graphRunner(), syntheticEpisodes(200), run(), {
        ...SMALL,
        epochs: 3,
        lr: 1e-4,
        warmStart: misled.model,
      }),
    )

    expect(options['start']).toBe('cold')
    expect(Object.keys(options['validationLoss'] as object)).toEqual(['warm', 'cold'])
  })

  test.each([
    [
      'of another hidden width',
      async () =>
        trainedOf(await trainWeaver(graphRunner(), syntheticEpisodes(100), run(), { ...QUICK, hidden: 16 }))
          .model,
    ],
    ['that is damaged', async () => new Uint8Array([1, 2, 3])],
  ])('from a weaver %s is a cold one', async (_which, make) => {
    const examples = syntheticEpisodes(100)
    const plain = trainedOf(await trainWeaver(graphRunner(), examples, run(), QUICK))
    const tried = trainedOf(
      await trainWeaver(graphRunner(), examples, run(), { ...QUICK, warmStart: await make() }),
    )

    expect(Buffer.from(tried.model).equals(Buffer.from(plain.model))).toBe(true)
    expect(tried.options['validationLoss']).toEqual(plain.options['validationLoss'])
  })
})

describe('is skipped, with the reason,', () => {
  test.each([
    ['without episodes', [], /no episodes/],
    ['for too few questions', syntheticEpisodes(36), /part calibration: expected 8, got 7/],
    [
      'for many episodes of few questions',
      syntheticEpisodes(100).map((one, index) => ({ ...one, cluster: `${index % 16}` })),
      /part train: expected 20, got 16/,
    ],
    [
      'for latents of two models',
      [...syntheticEpisodes(100), ...syntheticEpisodes(1).map(narrowed)],
      /different widths/,
    ],
  ] as const)('%s', async (_when, examples, reason) => {
    expect(await trainWeaver(graphRunner(), examples, run(), QUICK)).toMatchObject({
      skipped: expect.stringMatching(reason),
    })
  })
})

test('a stop signal ends training at the next step and leaves no graph loaded', async () => {
  const runner = graphRunner()
  const controller = new AbortController()
  const onProgress = () => controller.abort()
  const training = trainWeaver(
    runner,
    syntheticEpisodes(100),
    { seed: 1, signal: controller.signal, onProgress },
    SMALL,
  )

  await expect(training).rejects.toMatchObject({ code: 'ABORTED' })
  expect(runner.open()).toBe(0)
})

function narrowed(example: WeaverExample): WeaverExample {
  const half = { data: new Float32Array(4).fill(1), length: 1, width: 4 }
  return { ...example, embedding: new Float32Array(4), zBase: half, zStar: half }
}
