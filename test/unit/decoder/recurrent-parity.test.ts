/** @file The bundled depth-recurrent model against PyTorch, whose outputs models/recurrent/parity.py wrote. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { beforeAll, expect, test } from 'vitest'
import {
  compileGeneration,
  compileHeadLogits,
  type DecoderDescription,
  describeDecoder,
  linkRecurrent,
  RECURRENT_PARTS,
} from '#decoder'
import { decodeModel } from '#onnx'
import { floats, type GenerationBatch, ints, runGeneration } from '../../support/run-generation.ts'

const DIRECTORY = 'models/recurrent'
/** Upper bound on differences of states and logits, as a share of the largest one. */
const TOLERANCE = 1e-4

interface Case {
  readonly tokens: readonly number[]
  /** Base64 of little-endian float32: `[T, D]`, `[R, D]` and `[R, V]`. */
  readonly initialStates: string
  readonly states: string
  readonly logits: string
  /** Greedy decoding; `laterStates` `[n, D]`. */
  readonly continuation: {
    readonly steps: number
    readonly laterStates: string
    readonly tokens: readonly number[]
  }
}

const readJson = async (name: string) => JSON.parse(await readFile(join(DIRECTORY, name), 'utf8'))
const numbers = (base64: string) => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer)

let cases: readonly Case[]
let description: DecoderDescription
let generate: (batch: GenerationBatch) => ReturnType<typeof runGeneration>
let head: InferenceSession

beforeAll(async () => {
  ;({ cases } = await readJson('parity.json'))
  const { recurrence } = await readJson('circadian.json')
  const files = RECURRENT_PARTS.map((part) => readFile(join(DIRECTORY, `onnx/${part}.onnx`)))
  const linked = linkRecurrent((await Promise.all(files)).map(decodeModel), recurrence.maxSteps)
  description = describeDecoder(linked.model, await readJson('config.json'), linked.recurrence)
  const load = (graph: Uint8Array) => InferenceSession.create(graph, { intraOpNumThreads: 1 })
  generate = runGeneration.bind(null, await load(compileGeneration(linked.model, description)), description)
  head = await load(compileHeadLogits(linked.model, description))
})

/** Returns the logits of a latent at all tokens. */
async function logitsOf(latent: Float32Array): Promise<Float32Array> {
  const { vocabularySize: V, hiddenSize: D } = description
  const { logits } = await head.run({
    z: floats(latent, [1, D]),
    token_ids: ints(
      Array.from({ length: V }, (_, token) => token),
      [V],
    ),
    temperature: floats([1], []),
    uniforms: new Tensor('float32', new Float32Array(), [0, 1]),
    likely: ints([0], [1]),
  })
  return logits!.data as Float32Array
}

function noiseOf({ initialStates, continuation }: Case) {
  const all = [...numbers(initialStates), ...numbers(continuation.laterStates)]
  const D = description.recurrence!.stateSize
  // The state of the last token, which nothing feeds, is not part of the reference.
  return (position: number) => Float32Array.from({ length: D }, (_, d) => all[position * D + d] ?? 0)
}

function relativeDifference(ours: Float32Array, theirs: Float32Array): number {
  expect(ours.length).toBe(theirs.length)
  const largest = theirs.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  return ours.reduce((most, x, i) => Math.max(most, Math.abs(x - theirs[i]!)), 0) / largest
}

test('states and logits are those of PyTorch at every number of recurrences, in one batch', async () => {
  const { maxSteps } = description.recurrence!
  const { vocabularySize: V } = description
  expect(cases.length).toBeGreaterThanOrEqual(3)
  for (let steps = 1; steps <= maxSteps; steps++) {
    const run = await generate({
      rows: cases.map(({ tokens }) => tokens),
      steps: 1,
      thoughtFrom: cases.map(({ tokens }) => tokens.length - 1),
      recurrent: {
        noise: (row, position) => noiseOf(cases[row]!)(position),
        recurrences: cases.map(() => steps),
      },
    })
    for (const [row, each] of cases.entries()) {
      const size = steps * description.recurrence!.stateSize
      const states = run.thoughtSums[row]!.slice(0, size)
      expect(relativeDifference(states, numbers(each.states).slice(0, size))).toBeLessThan(TOLERANCE)
      const logits = await logitsOf(run.hiddenStates[row]![0]!)
      const expected = numbers(each.logits).slice((steps - 1) * V, steps * V)
      expect(relativeDifference(logits, expected)).toBeLessThan(TOLERANCE)
    }
  }
})

test('rows that are done before others have the states and logits of PyTorch, and of the row alone', async () => {
  const { maxSteps } = description.recurrence!
  const { vocabularySize: V } = description
  const recurrences = cases.map((_, row) => Math.max(1, Math.round((maxSteps * (row + 1)) / cases.length)))
  expect(new Set(recurrences).size).toBe(cases.length)
  const run = (rows: readonly number[]) =>
    generate({
      rows: rows.map((row) => cases[row]!.tokens),
      steps: 3,
      thoughtFrom: rows.map((row) => cases[row]!.tokens.length - 1),
      recurrent: {
        noise: (index, position) => noiseOf(cases[rows[index]!]!)(position),
        recurrences: rows.map((row) => recurrences[row]!),
      },
    })
  const batch = await run(cases.map((_, row) => row))
  for (const [row, each] of cases.entries()) {
    const steps = recurrences[row]!
    const logits = await logitsOf(batch.hiddenStates[row]![0]!)
    const expected = numbers(each.logits).slice((steps - 1) * V, steps * V)
    expect(relativeDifference(logits, expected)).toBeLessThan(TOLERANCE)
    const alone = await run([row])
    expect(batch.tokens[row]).toEqual(alone.tokens[0])
    expect(batch.recurrences[row]).toEqual(alone.recurrences[0])
    expect(relativeDifference(batch.thoughtSums[row]!, alone.thoughtSums[0]!)).toBeLessThan(TOLERANCE)
    for (const [index, cache] of alone.caches.entries()) {
      const own = rowOf(batch.caches[index]!, row, cache.dims[2]!)
      expect(relativeDifference(own, cache.data as Float32Array)).toBeLessThan(TOLERANCE)
    }
  }
})

/** Returns the last `length` positions of a row of `[B, K, T, h]`. */
function rowOf({ data, dims }: Tensor, row: number, length: number): Float32Array {
  const [, heads, positions, size] = dims as [number, number, number, number]
  const own = (data as Float32Array).subarray(row * heads * positions * size)
  const all = Array.from({ length: heads }, (_, head) => [
    ...own.subarray((head * positions + positions - length) * size, (head + 1) * positions * size),
  ])
  return Float32Array.from(all.flat())
}

test('greedy decoding gives the tokens of PyTorch', async () => {
  for (const each of cases) {
    const { steps, tokens } = each.continuation
    const run = await generate({
      rows: [each.tokens],
      steps: tokens.length,
      recurrent: { noise: (_, position) => noiseOf(each)(position), recurrences: [steps] },
    })
    expect(run.tokens[0]).toEqual(tokens)
  }
})
