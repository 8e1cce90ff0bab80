import { InferenceSession, Tensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { compileGeneration, compileHeadLogits, describeDecoder, linkRecurrent } from '#decoder'
import { allNames, createTape, DATA_TYPES, int, type Model, value } from '#onnx'
import { createRandom, int64 } from '#tensor'
import { inHalfPrecision } from '../../fixtures/half-decoder.ts'
import { type TinyRecurrentOptions, tinyRecurrent } from '../../fixtures/tiny-recurrent.ts'
import { recurrentByParts } from '../../support/recurrent-by-parts.ts'
import { type GenerationBatch, generationFeeds, runGeneration } from '../../support/run-generation.ts'

const R = 6
const D = 16
const PROMPTS = [[3, 14, 15, 9, 26, 5], [35, 8], [41, 42, 43, 44], [7]]

function noiseOf(seed: number, position: number): Float32Array {
  const random = createRandom(seed, position)
  return Float32Array.from({ length: D }, () => random.gaussian() * 0.6)
}

function linked(options: TinyRecurrentOptions = {}, maxSteps = R) {
  const { parts, config } = tinyRecurrent(options)
  const { model, recurrence } = linkRecurrent(parts, maxSteps)
  return { model, description: describeDecoder(model, config, recurrence) }
}

async function setUp(options: TinyRecurrentOptions = {}) {
  const { bytes } = tinyRecurrent(options)
  const { model, description } = linked(options)
  const session = await InferenceSession.create(compileGeneration(model, description), {
    intraOpNumThreads: 1,
  })
  return {
    description,
    generate: runGeneration.bind(null, session, description),
    /** The same row by the reference. */
    async expected(prompt: readonly number[], seed: number, count: number, steps: number, tolerance = -1) {
      const reference = await recurrentByParts(bytes, { maxSteps: R })
      const fed = (position: number) => ({ noise: noiseOf(seed, position), steps })
      // Only the last position of the prompt may stop early.
      const first = prompt.map((token, i) => ({
        token,
        ...fed(i),
        tolerance: i === prompt.length - 1 ? tolerance : -1,
      }))
      const later = Array.from({ length: count - 1 }, (_, i) => ({ ...fed(prompt.length + i), tolerance }))
      return await reference.decode(first, later)
    },
  }
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)))
}

test('describes a recurrent model: its caches, thoughts and head', () => {
  const { description } = linked({ coreLayers: 2 })
  expect(description).toMatchObject({
    layers: 4,
    keyValueHeads: 2,
    headSize: 8,
    padding: 'any',
    hiddenSize: D,
    vocabularySize: 64,
    recurrence: { maxSteps: R, coreLayers: [1, 3], stateSize: D },
  })
  expect(description.layerStates).toHaveLength(R)
})

test('rows of different recurrences give the tokens of the parts, alone and in one batch', async () => {
  const { generate, expected } = await setUp()
  const recurrences = [6, 1, 4, 3]
  const noise = (row: number, position: number) => noiseOf(10 + row, position)
  const batch = await generate({ rows: PROMPTS, steps: 12, recurrent: { noise, recurrences } })
  for (const [b, prompt] of PROMPTS.entries()) {
    const alone = await generate({
      rows: [prompt],
      steps: 12,
      recurrent: { noise: (_, position) => noiseOf(10 + b, position), recurrences: [recurrences[b]!] },
    })
    const { tokens } = await expected(prompt, 10 + b, 12, recurrences[b]!)
    expect(alone.tokens[0]).toEqual(tokens)
    expect(batch.tokens[b]).toEqual(tokens)
    expect(batch.recurrences[b]).toEqual(new Array(12).fill(recurrences[b]))
  }
  expect(new Set(batch.tokens.flat()).size).toBeGreaterThan(10) // else the comparison would prove little
})

test('the thought is the sum of the states after each recurrence, the last one repeated', async () => {
  const { generate, expected } = await setUp()
  const steps = 4
  const run = await generate({
    rows: PROMPTS,
    steps: 5,
    thoughtFrom: PROMPTS.map((prompt) => prompt.length - 1),
    recurrent: { noise: noiseOf, recurrences: PROMPTS.map(() => steps) },
  })
  for (const [b, prompt] of PROMPTS.entries()) {
    const { fed } = await expected(prompt, b, 5, steps)
    const predicting = fed.slice(prompt.length - 1)
    const sums = Array.from({ length: R }, (_, i) =>
      Array.from({ length: D }, (_, d) =>
        predicting.reduce((sum, { states }) => sum + states[Math.min(i, steps - 1)]![d]!, 0),
      ),
    )
    expect(largestDifference(run.thoughtSums[b]!, sums.flat())).toBeLessThan(1e-4)
  }
})

test('a token that converges stops, and later tokens attend to its last recurrence', async () => {
  const { generate, expected } = await setUp()
  const tolerances = [0.9, 0.4, -1, 0.7]
  const run = await generate({
    rows: PROMPTS,
    steps: 12,
    recurrent: { noise: noiseOf, recurrences: PROMPTS.map(() => R), tolerances },
  })
  for (const [b, prompt] of PROMPTS.entries()) {
    const { tokens, fed } = await expected(prompt, b, 12, R, tolerances[b])
    expect(run.tokens[b]).toEqual(tokens)
    expect(run.recurrences[b]).toEqual(fed.slice(prompt.length - 1).map(({ states }) => states.length))
  }
  const taken = run.recurrences.flat()
  expect(Math.min(...taken)).toBeLessThan(R)
  expect(Math.max(...taken)).toBe(R)
})

/** The core with a state that is the number of rows that it was given. */
function countingRows(core: Model): Model {
  const others = core.graph.nodes.filter(({ outputs }) => !outputs.includes('next_state'))
  const tape = createTape([...allNames(core.graph)].filter((name) => name !== 'next_state'))
  const first = tape.constant(int64(0))
  const rows = tape.op('Gather', [tape.op('Shape', ['state']), first], { axis: int(0) })
  const count = tape.op('Cast', [rows], { to: int(DATA_TYPES.float32) })
  tape.outputs(['next_state'], 'Expand', [count, tape.op('Shape', ['state'])])
  const { nodes, initializers } = tape.graph({ name: 'count', outputs: [] })
  return {
    ...core,
    graph: {
      ...core.graph,
      nodes: [...others, ...nodes],
      initializers: new Map([...core.graph.initializers, ...initializers]),
    },
  }
}

test('the core computes the rows that go on, and no others', async () => {
  const { parts, config } = tinyRecurrent()
  const { model, recurrence } = linkRecurrent(parts.with(1, countingRows(parts[1])), R)
  const description = describeDecoder(model, config, recurrence)
  const session = await InferenceSession.create(compileGeneration(model, description), {
    intraOpNumThreads: 1,
  })
  const rowsOf = async (batch: Partial<GenerationBatch>) => {
    const run = await runGeneration(session, description, {
      rows: PROMPTS,
      steps: 1,
      thoughtFrom: PROMPTS.map((prompt) => prompt.length - 1),
      ...batch,
    })
    return run.thoughtSums.map((states) => Array.from({ length: R }, (_, i) => states[i * D]))
  }
  const noise = () => new Float32Array(D).fill(1)
  expect(await rowsOf({ recurrent: { noise, recurrences: [6, 1, 4, 3] } })).toEqual([
    [4, 3, 3, 2, 1, 1],
    [4, 4, 4, 4, 4, 4],
    [4, 3, 3, 2, 2, 2],
    [4, 3, 3, 3, 3, 3],
  ])
  // No state changes in the second recurrence.
  const adaptive = { noise, recurrences: [6, 6, 6, 6], tolerances: [-1, 0, -1, 0] }
  const last = PROMPTS.map((prompt) => [prompt.at(-1)!])
  expect(await rowsOf({ rows: last, thoughtFrom: [0, 0, 0, 0], recurrent: adaptive })).toEqual([
    [4, 4, 2, 2, 2, 2],
    [4, 4, 4, 4, 4, 4],
    [4, 4, 2, 2, 2, 2],
    [4, 4, 4, 4, 4, 4],
  ])
  // A row that has ended holds up no others.
  const finished = [false, true, true, true]
  const [first] = await rowsOf({ finished, recurrent: { noise, recurrences: [6, 6, 6, 6] } })
  expect(first).toEqual([4, 1, 1, 1, 1, 1])
})

test('an export in half precision has the states of one in single precision, to its rounding', async () => {
  const { parts, config } = tinyRecurrent()
  const { model, recurrence } = linkRecurrent(parts.map(inHalfPrecision), R)
  const description = describeDecoder(model, config, recurrence)
  const session = await InferenceSession.create(compileGeneration(model, description), {
    intraOpNumThreads: 1,
  })
  const recurrences = [6, 1, 4, 3]
  const batch = { rows: PROMPTS, steps: 1, recurrent: { noise: noiseOf, recurrences } }
  const feeds = Object.entries(generationFeeds(description, batch)).map(([name, tensor]) => {
    const isCache = name.startsWith('past_key_values.')
    return [name, isCache ? new Tensor('float16', new Uint16Array(), tensor.dims) : tensor] as const
  })
  const halves = await session.run(Object.fromEntries(feeds), ['hidden_states', 'recurrences_taken'])
  const singles = await (await setUp()).generate(batch)
  const expected = singles.hiddenStates.flatMap(([first]) => [...first!])
  expect(largestDifference(halves['hidden_states']!.data as Float32Array, expected)).toBeLessThan(0.05)
  expect(Array.from(halves['recurrences_taken']!.data as BigInt64Array, Number)).toEqual(recurrences)
})

test('chunks resume the previous chunk', async () => {
  const { generate } = await setUp()
  const recurrent = { noise: noiseOf, recurrences: [6, 1, 4, 3] }
  const whole = await generate({ rows: PROMPTS, steps: 12, recurrent })
  let chunk = await generate({ rows: PROMPTS, steps: 5, recurrent })
  const tokens = chunk.tokens.map((row) => [...row])
  for (const steps of [1, 6]) {
    chunk = await generate({ rows: tokens.map((row) => [row.at(-1)!]), steps, past: chunk, recurrent })
    for (const [b, row] of chunk.tokens.entries()) tokens[b]!.push(...row)
  }
  expect(tokens).toEqual(whole.tokens)
})

test('the reads of the head compile, too', async () => {
  const { model, description } = linked()
  await InferenceSession.create(compileHeadLogits(model, description))
})

test('an export whose states are not as wide as the latents has no thoughts', () => {
  const { model, description } = linked()
  const { recurrence } = description
  const wider = describeDecoder(model, {}, { ...recurrence!, stateSize: D + 1 })
  expect(wider.layerStates).toBeNull()
})

const without = (model: Model, name: string): Model => ({
  ...model,
  graph: {
    ...model.graph,
    inputs: model.graph.inputs.filter((input) => input.name !== name),
    outputs: model.graph.outputs.filter((output) => output.name !== name),
  },
})

test.each([
  ['prelude', 'embedded', /expected an output "embedded" in prelude.onnx/],
  ['core', 'state', /expected an input "state" in core.onnx/],
  ['core', 'next_state', /expected an output "next_state" in core.onnx/],
  ['core', 'present.1.key', /expected an output "present.1.key" in core.onnx/],
  ['coda', 'logits', /expected an output "logits" in coda.onnx/],
])('refuses a %s without %s', (part, name, message) => {
  const { parts } = tinyRecurrent()
  const index = ['prelude', 'core', 'coda'].indexOf(part)
  expect(() => linkRecurrent(parts.with(index, without(parts[index]!, name)), R)).toThrow(message)
})

test('refuses other inputs, other operator sets and caches of unknown size', () => {
  const { parts } = tinyRecurrent()
  const [, core, coda] = parts
  const graph = (model: Model, inputs: Model['graph']['inputs']) => ({
    ...model,
    graph: { ...model.graph, inputs },
  })
  const strange = graph(core, [...core.graph.inputs, value('timestep', 'int64', [])])
  expect(() => linkRecurrent(parts.with(1, strange), R)).toThrow(/core.onnx, got "timestep"/)
  const older = { ...coda, opsetImports: new Map([['', 13]]) }
  expect(() => linkRecurrent(parts.with(2, older), R)).toThrow(
    /expected operator set 17, as the prelude in coda.onnx, got 13/,
  )
  const open = core.graph.inputs.map((input) =>
    input.name === 'past_key_values.0.key' ? value(input.name, 'float32', ['B', 'heads', null, 8]) : input,
  )
  expect(() => linkRecurrent(parts.with(1, graph(core, open)), R)).toThrow(/numbers K and h/)
})
