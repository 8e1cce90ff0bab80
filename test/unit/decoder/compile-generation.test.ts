import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { compileGeneration, describeDecoder } from '#decoder'
import { createRandom } from '#tensor'
import { type TinyDecoderOptions, tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { createStepDecoder } from '../../support/decode-by-steps.ts'
import { generationFeeds, runGeneration } from '../../support/run-generation.ts'

async function setUp(options: TinyDecoderOptions = {}) {
  const { model, config } = tinyDecoder(options)
  const description = describeDecoder(model, config)
  const session = await InferenceSession.create(compileGeneration(model, description))
  const reference = await createStepDecoder(model, description)
  return { description, session, reference, generate: runGeneration.bind(null, session, description) }
}

const PROMPTS = [[3, 14, 15, 9, 26, 5], [35, 8], [41, 42, 43, 44], [7]]

function largestDifference(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  expect(a.length).toBe(b.length)
  return Math.max(...a.flatMap((row, i) => Array.from(row, (value, j) => Math.abs(value - b[i]![j]!))))
}

describe.each<[string, TinyDecoderOptions]>([
  ['a plain head', {}],
  ['repeated key/value heads', { keyValueHeads: 1, layers: 3 }],
  ['a tied head', { head: 'tied' }],
  ['the oldest operator set', { opset: 13 }],
  ['a transposed head with bias and soft-cap', { head: 'transposed', bias: true, softCap: 2 }],
  ['a Gemm head with bias and scale', { head: 'gemm', bias: true, scale: 0.5 }],
  ['a half-precision head', { head: 'transposed', halfHead: true }],
  ['a 4-bit head of three blocks, the last one partial', { head: 'quantized', width: 40 }],
])('with %s', (_, options) => {
  test('the loop gives the tokens and states of the step graph, alone and in a ragged batch', async () => {
    const { generate, reference } = await setUp(options)
    const batch = await generate({ rows: PROMPTS, steps: 20 })
    expect(new Set(batch.tokens.flat()).size).toBeGreaterThan(10) // else the comparison would prove little
    for (const [b, prompt] of PROMPTS.entries()) {
      const expected = await reference.decode(prompt, { steps: 20 })
      const alone = await generate({ rows: [prompt], steps: 20 })
      expect(alone.tokens[0]).toEqual(expected.tokens)
      expect(batch.tokens[b]).toEqual(expected.tokens)
      expect(largestDifference(alone.hiddenStates[0]!, expected.hiddenStates)).toBeLessThanOrEqual(1e-5)
      expect(largestDifference(batch.hiddenStates[b]!, expected.hiddenStates)).toBeLessThanOrEqual(1e-5)
      expect(alone.caches.map(({ dims }) => dims)).toEqual(expected.caches.map(({ dims }) => dims))
      const caches = (from: typeof alone.caches) => from.map(({ data }) => data as Float32Array)
      expect(largestDifference(caches(alone.caches), caches([...expected.caches]))).toBeLessThanOrEqual(1e-5)
    }
  })
})

test('chunks resume the previous chunk', async () => {
  const { generate } = await setUp()
  const whole = await generate({ rows: PROMPTS, steps: 24 })
  let chunk = await generate({ rows: PROMPTS, steps: 5 })
  const tokens = chunk.tokens.map((row) => [...row])
  const hiddenStates = chunk.hiddenStates.map((row) => [...row])
  for (const steps of [1, 7, 11]) {
    const rows = tokens.map((row) => [row.at(-1)!])
    chunk = await generate({ rows, steps, past: chunk })
    for (const [b, row] of chunk.tokens.entries()) {
      tokens[b]!.push(...row)
      hiddenStates[b]!.push(...chunk.hiddenStates[b]!)
    }
  }
  expect(tokens).toEqual(whole.tokens)
  for (const [b, row] of hiddenStates.entries()) {
    expect(largestDifference(row, whole.hiddenStates[b]!)).toBeLessThanOrEqual(1e-5)
  }
  expect(chunk.caches[0]!.dims).toEqual(whole.caches[0]!.dims)
})

test('a prefix of several tokens on top of a past, both ragged', async () => {
  const { generate, reference } = await setUp()
  // Decodes the prompts' caches only, then continues each row from its own forced prefix: holes in the
  // middle.
  const prompts = await generate({ rows: PROMPTS, steps: 1 })
  const prefixes = [[1, 2], [60, 61, 62, 63, 5], [9], [11, 12, 13]]
  const batch = await generate({ rows: prefixes, steps: 12, past: prompts })
  for (const [b, prefix] of prefixes.entries()) {
    const expected = await reference.decode([...PROMPTS[b]!, ...prefix], { steps: 12 })
    expect(batch.tokens[b]).toEqual(expected.tokens)
    expect(largestDifference(batch.hiddenStates[b]!, expected.hiddenStates)).toBeLessThanOrEqual(1e-5)
  }
})

test('padding on the right gives the same answers, resumed chunks included', async () => {
  const { generate, reference } = await setUp()
  const first = await generate({ rows: PROMPTS, steps: 6, padding: 'right' })
  const second = await generate({ rows: first.tokens.map((row) => [row.at(-1)!]), steps: 6, past: first })
  for (const [b, prompt] of PROMPTS.entries()) {
    const expected = await reference.decode(prompt, { steps: 12 })
    expect([...first.tokens[b]!, ...second.tokens[b]!]).toEqual(expected.tokens)
  }
})

test('a fused export gives the same answers padded on the right, alone and in resumed chunks', async () => {
  const { generate, reference, description } = await setUp({ fused: true, width: 32, keyValueHeads: 1 })
  expect(description.padding).toBe('right')
  const first = await generate({ rows: PROMPTS, steps: 9, padding: 'right' })
  expect(new Set(first.tokens.flat()).size).toBeGreaterThan(10)
  for (const [b, prompt] of PROMPTS.entries()) {
    const expected = await reference.decode(prompt, { steps: 18 })
    expect(first.tokens[b]).toEqual(expected.tokens.slice(0, 9))
    expect(largestDifference(first.hiddenStates[b]!, expected.hiddenStates.slice(0, 9))).toBeLessThanOrEqual(
      1e-5,
    )
    // Resumed in a batch of equal past lengths: this row and a copy of it.
    const twice = await generate({ rows: [prompt, prompt], steps: 9 })
    const rows = twice.tokens.map((row) => [row.at(-1)!])
    const second = await generate({ rows, steps: 9, past: twice })
    expect(second.tokens).toEqual([expected.tokens.slice(9), expected.tokens.slice(9)])
  }
})

test('stops at EOS, early when all rows have, and pads finished rows', async () => {
  const { generate, reference } = await setUp()
  const free = await Promise.all(PROMPTS.map((prompt) => reference.decode(prompt, { steps: 30 })))
  const eos = [free[0]!.tokens[4]!, free[1]!.tokens[2]!, free[2]!.tokens[7]!, free[3]!.tokens[1]!]
  const expected = await Promise.all(PROMPTS.map((prompt) => reference.decode(prompt, { steps: 30, eos })))
  const longest = Math.max(...expected.map(({ tokens }) => tokens.length))
  expect(longest).toBeLessThan(30)
  const batch = await generate({ rows: PROMPTS, steps: 30, eos, pad: 63 })
  for (const [b, { tokens }] of expected.entries()) {
    expect(batch.tokens[b]).toEqual([...tokens, ...new Array<number>(longest - tokens.length).fill(63)])
  }
  expect(batch.finished).toEqual([true, true, true, true])
})

test('a row may emit `remaining` tokens over all chunks, and none when nothing remains', async () => {
  const { generate } = await setUp()
  const free = await generate({ rows: PROMPTS, steps: 8 })
  const limits = [3, 8, 1, 0]
  const limited = await generate({ rows: PROMPTS, steps: 8, remaining: limits, pad: 62 })
  for (const [b, limit] of limits.entries()) {
    expect(limited.tokens[b]).toEqual(free.tokens[b]!.map((token, i) => (i < limit ? token : 62)))
  }
  expect(limited.finished).toEqual([true, true, true, true])
  expect(limited.remaining).toEqual([0, 0, 0, 0])
  const first = await generate({ rows: PROMPTS, steps: 2, remaining: limits, pad: 62 })
  expect(first.remaining).toEqual([1, 6, 0, 0])
  expect(first.finished).toEqual([false, false, true, true])
  const second = await generate({
    rows: first.tokens.map((row) => [row.at(-1)!]),
    steps: 8,
    past: first,
    remaining: first.remaining,
    finished: first.finished,
    pad: 62,
  })
  expect(second.tokens[0]!.slice(0, 1)).toEqual(free.tokens[0]!.slice(2, 3))
  expect(second.tokens[1]).toEqual(free.tokens[1]!.slice(2))
})

test('the first iteration prefills even when every row is finished', async () => {
  const { generate } = await setUp()
  const { tokens, caches, hiddenStates } = await generate({
    rows: [PROMPTS[0]!],
    steps: 5,
    finished: [true],
    pad: 61,
  })
  expect(tokens).toEqual([[61]])
  expect(caches[0]!.dims[2]).toBe(PROMPTS[0]!.length)
  const open = await generate({ rows: [PROMPTS[0]!], steps: 1 })
  expect(hiddenStates).toEqual(open.hiddenStates)
})

test('sampled rows agree with inverse CDF in fp64, alone and beside greedy rows', async () => {
  const { generate, reference } = await setUp({ softCap: 3 })
  const temperature = [0.7, 0, 1.5, 1]
  const uniforms = PROMPTS.map((_, b) => {
    const random = createRandom(99, b)
    return Array.from({ length: 16 }, () => random.uniform())
  })
  const byTime = Array.from({ length: 16 }, (_, i) => uniforms.map((row) => row[i]!))
  const batch = await generate({ rows: PROMPTS, steps: 16, temperature, uniforms: byTime })
  for (const [b, prompt] of PROMPTS.entries()) {
    const options = { steps: 16, temperature: temperature[b]!, uniforms: uniforms[b]! }
    expect(batch.tokens[b]).toEqual((await reference.decode(prompt, options)).tokens)
    const alone = await generate({
      rows: [prompt],
      steps: 16,
      temperature: [temperature[b]!],
      uniforms: uniforms[b]!.map((u) => [u]),
    })
    expect(alone.tokens[0]).toEqual(batch.tokens[b])
  }
  expect(batch.tokens[0]).not.toEqual((await generate({ rows: [PROMPTS[0]!], steps: 16 })).tokens[0])
})

test('rows of unlike rules agree with the plain rules, alone, together and in resumed chunks', async () => {
  const { generate, reference } = await setUp({ vocabulary: 300, scale: 2 })
  const temperature = PROMPTS.map(() => 1)
  const sampling = [
    { repetitionPenalty: 1.5 },
    { topK: 5, repetitionPenalty: 0.8 },
    { topP: 0.5 },
    { topK: 60, topP: 0.9, minP: 0.05, repetitionPenalty: 1.2 },
  ]
  const uniforms = PROMPTS.map((_, b) => {
    const random = createRandom(7, b)
    return Array.from({ length: 24 }, () => random.uniform())
  })
  const byTime = Array.from({ length: 24 }, (_, i) => uniforms.map((row) => row[i]!))
  // Rows of other lengths repeat a token of theirs.
  const seenWith = (more: readonly (readonly number[])[]) => {
    const seen = PROMPTS.map((prompt, b) => [...prompt, ...(more[b] ?? [])])
    const width = Math.max(...seen.map((row) => row.length))
    return seen.map((row) => [...row, ...new Array<number>(width - row.length).fill(row[0]!)])
  }
  const batch = { rows: PROMPTS, temperature, sampling }
  const whole = await generate({ ...batch, steps: 24, uniforms: byTime, seenTokens: seenWith([]) })
  const first = await generate({ ...batch, steps: 10, uniforms: byTime, seenTokens: seenWith([]) })
  const second = await generate({
    ...batch,
    rows: first.tokens.map((row) => [row.at(-1)!]),
    steps: 14,
    past: first,
    uniforms: byTime.slice(10),
    seenTokens: seenWith(first.tokens),
  })
  for (const [b, prompt] of PROMPTS.entries()) {
    const options = { steps: 24, temperature: 1, sampling: sampling[b]!, uniforms: uniforms[b]! }
    const { tokens } = await reference.decode(prompt, options)
    expect(whole.tokens[b]).toEqual(tokens)
    expect([...first.tokens[b]!, ...second.tokens[b]!]).toEqual(tokens)
    const alone = await generate({
      rows: [prompt],
      steps: 24,
      temperature: [1],
      sampling: [sampling[b]!],
      uniforms: uniforms[b]!.map((u) => [u]),
      seenTokens: [prompt],
    })
    expect(alone.tokens[0]).toEqual(tokens)
    expect(tokens).not.toEqual((await reference.decode(prompt, { ...options, sampling: {} })).tokens)
  }
})

test('the largest uniform and a temperature near 0 pick valid tokens', async () => {
  const { generate } = await setUp()
  const greedy = await generate({ rows: PROMPTS, steps: 4 })
  const cold = await generate({
    rows: PROMPTS,
    steps: 4,
    temperature: PROMPTS.map(() => 1e-6),
    uniforms: new Array(4).fill(PROMPTS.map(() => 1 - 2 ** -24)),
  })
  expect(cold.tokens).toEqual(greedy.tokens)
  const hot = await generate({
    rows: PROMPTS,
    steps: 4,
    temperature: PROMPTS.map(() => 50),
    uniforms: new Array(4).fill(PROMPTS.map(() => 1 - 2 ** -24)),
  })
  expect(hot.tokens.flat()).toEqual(new Array(16).fill(63))
})

test('hidden states can be fetched alone', async () => {
  const { session, description, generate } = await setUp()
  const feeds = generationFeeds(description, { rows: PROMPTS, steps: 1 })
  const results = await session.run(feeds, ['hidden_states'])
  expect(Object.keys(results)).toEqual(['hidden_states'])
  const all = await generate({ rows: PROMPTS, steps: 1 })
  expect(results['hidden_states']!.data).toEqual(
    Float32Array.from(all.hiddenStates.flat(2).flatMap((row) => [...row])),
  )
})
