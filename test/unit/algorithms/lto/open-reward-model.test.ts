import { beforeAll, expect, test } from 'vitest'
import { openRewardModel, trainRewardModel } from '#algorithms'
import { createModel, createTape, encodeModel, value } from '#onnx'
import { graphRunner } from '../../../support/graph-runner.ts'
import { LAYERS, SMALL, syntheticThoughts, WIDTH } from '../../../support/synthetic-thoughts.ts'

const IDENTITY = { version: 'lrm-7', form: 'mean', layers: LAYERS, width: WIDTH } as const
const THOUGHTS = syntheticThoughts(5, 2).map(({ thought }) => thought)
let model: Uint8Array

beforeAll(async () => {
  const { signal } = new AbortController()
  const training = await trainRewardModel(
    graphRunner(),
    syntheticThoughts(60, 2),
    { seed: 1, signal },
    { ...SMALL, epochs: 1 },
  )
  if ('skipped' in training) throw new Error(training.skipped)
  ;({ model } = training.trained)
})

/** Graph with the inputs of a reward model that returns `op` of the first feature. */
function impostor(op: string, output = 'probability'): Uint8Array {
  const tape = createTape(['thoughts'])
  tape.outputs([output], op, ['thoughts'])
  return encodeModel(
    createModel(
      tape.graph({
        name: 'impostor',
        inputs: [value('thoughts', 'float32', ['N', LAYERS, WIDTH])],
        outputs: [value(output, 'float32')],
      }),
      { '': 20 },
    ),
  )
}

test('scores in order, in batches of any size, between 0 and 1', async () => {
  const opened = await openRewardModel(graphRunner(), model, IDENTITY)
  expect(opened.version).toBe('lrm-7')
  const scores = await opened.score(THOUGHTS)
  for (const score of scores) expect(score > 0 && score < 1).toBe(true)
  expect(new Set(scores).size).toBe(THOUGHTS.length)
  const many = Array.from({ length: 1200 }, (_, index) => THOUGHTS[index % THOUGHTS.length]!)
  const repeated = await opened.score(many)
  expect(repeated.length).toBe(1200)
  repeated.forEach((score, index) => {
    expect(score).toBeCloseTo(scores[index % THOUGHTS.length]!, 5)
  })
  expect(await opened.score([])).toEqual([])
  await opened.close()
})

test.each([
  ['no bytes', () => new Uint8Array()],
  ['half of its bytes', () => model.subarray(0, model.length / 2)],
  ['another file', () => new TextEncoder().encode('{"not": "onnx"}')],
  ['a graph of other outputs', () => impostor('Sigmoid', 'z')],
  ['scores outside [0, 1]', () => impostor('Exp')],
  ['a score for every feature', () => impostor('Sigmoid')],
])('refuses %s', async (_name, bytes) => {
  const runner = graphRunner()
  await expect(openRewardModel(runner, bytes(), IDENTITY)).rejects.toMatchObject({
    code: 'ARTIFACT_INVALID',
    message: expect.stringContaining('lrm-7'),
  })
  expect(runner.open()).toBe(0)
})

test.each([
  ['width', { ...IDENTITY, width: WIDTH + 1 }],
  ['number of layers', { ...IDENTITY, layers: LAYERS + 1 }],
])('refuses a model for thoughts of another %s', async (_name, identity) => {
  const runner = graphRunner()
  await expect(openRewardModel(runner, model, identity)).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
  expect(runner.open()).toBe(0)
})

test('refuses thoughts that are not finite or of another shape, and scores the next ones', async () => {
  const opened = await openRewardModel(graphRunner(), model, IDENTITY)
  for (const poison of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const data = THOUGHTS[0]!.data.slice()
    data[4] = poison
    await expect(opened.score([THOUGHTS[1]!, { ...THOUGHTS[0]!, data }])).rejects.toMatchObject({
      code: 'ARTIFACT_INVALID',
    })
  }
  const narrow = { data: new Float32Array(LAYERS), layers: LAYERS, width: 1 }
  await expect(opened.score([narrow])).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' })
  expect(await opened.score(THOUGHTS)).toHaveLength(THOUGHTS.length)
  await opened.close()
})
