/** @file Graphs that keep the past give the numbers of the export's own attention, whatever rows come and go. */

import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compileGeneration, describeDecoder, findOneTokenAttentions, type OneTokenAttentions } from '#decoder'
import { createGenerationGraph } from '../../../src/engine/child/generation-graph.ts'
import { allocateFresh, partsOf, viewLength } from '../../../src/engine/child/key-values.ts'
import { createSession } from '../../../src/engine/child/onnx-runtime.ts'
import {
  composeFeeds,
  type StepRow,
  type StepRunner,
  splitFetches,
} from '../../../src/engine/child/step-batch.ts'
import { readStepGraph } from '../../../src/engine/read-graph.ts'
import { tinyDecoder } from '../../fixtures/tiny-decoder.ts'
import { tinyModel } from '../../support/tiny-sessions.ts'

const EXPORTS = join(import.meta.dirname, '../../fixtures/exports')

/** Numbers that any vocabulary has, without a pattern. */
const prompt = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => 3 + ((i * i * 31 + i * 17 + seed * 101) % 300))

async function load(
  file: string,
  attentionsOf: (found: OneTokenAttentions | null) => OneTokenAttentions | null,
) {
  const { model } = await readStepGraph(file)
  const description = describeDecoder(model)
  const attentions = attentionsOf(findOneTokenAttentions(model.graph, description))
  const session = await createSession(compileGeneration(model, description, attentions), {
    provider: 'cpu',
    cudaDevice: 0,
    threads: 1,
    dataFolder: dirname(file),
  })
  const { layers, keyValueHeads: heads, headSize, dtype: type, padding, maxWidth, hiddenSize } = description
  const graph = createGenerationGraph(session, {
    layout: { layers, heads, headSize, type },
    padding,
    keepsPast: attentions !== null,
    maxWidth,
    hiddenSize,
    thoughtLayers: description.layerStates?.length ?? 0,
    eosTokenIds: [],
    padTokenId: 0,
  })
  return { graph, run: (rows: readonly StepRow[], steps: number) => run(graph, rows, steps) }
}

async function run(graph: StepRunner, rows: readonly StepRow[], steps: number) {
  const feeds = composeFeeds(graph, rows, steps, allocateFresh(graph.layout))
  const fetches = await graph.run(feeds, {
    hiddenStates: true,
    thoughtSums: false,
    signals: false,
    present: true,
  })
  const outcomes = splitFetches(rows, feeds, fetches, new Set())
  return { feeds, outcomes }
}

const row = (past: StepRow['past'], input: readonly number[], remaining = 1000): StepRow => ({
  past,
  input,
  temperature: 0,
  remaining,
  uniforms: null,
  thoughtFrom: null,
})

/** Decodes rows that end, leave, join and go on with several tokens; returns the tokens and states of every run. */
async function scenario({ run }: Awaited<ReturnType<typeof load>>) {
  const tokens: number[][] = []
  const states: Float32Array[] = []
  const take = async (rows: readonly StepRow[], steps: number) => {
    const { outcomes } = await run(rows, steps)
    for (const outcome of outcomes) {
      tokens.push([...outcome.tokens])
      states.push(outcome.hiddenStates!)
    }
    return outcomes
  }
  const next = (outcomes: Awaited<ReturnType<typeof take>>, remaining: readonly number[] = []) =>
    outcomes.map(({ cached, tokens }, index) => row(cached, tokens.slice(-1), remaining[index]))
  // One token without a past; ragged prompts.
  const first = await take([row(null, prompt(1, 9))], 2)
  let rows = await take(
    [prompt(5, 1), prompt(29, 2), prompt(40, 3)].map((input) => row(null, input)),
    1,
  )
  rows = await take(next(rows), 1)
  // One row ends before the others.
  rows = await take(next(rows, [9, 2, 9]), 5)
  // Another leaves, one of another run joins.
  const [left] = rows.splice(1, 1)
  rows = await take(next([...rows, ...first]), 3)
  // As many positions as are kept beside a past, then more.
  rows = await take(next(rows), 40)
  rows = await take(next(rows), 21)
  rows = await take(next(rows), 2)
  // Several tokens after an answer, as a verdict has, and tokens after those.
  const [judged] = await take([row(left!.cached, [...left!.tokens.slice(-1), ...prompt(4, 5)])], 3)
  await take(next([judged!, rows[0]!]), 2)
  return { tokens, states, views: rows.map(({ cached }) => cached!) }
}

describe('a graph that keeps the past', () => {
  test.each([
    ['genai-llama', 1e-4],
    ['genai-llama-int4', 0.05],
    ['genai-qwen3', 1e-4], // separate projections
    ['genai-gemma2', 1e-4], // soft-cap, windows
    ['genai-gpt-oss', 1e-4], // sinks, windows
    ['genai-nemotron', 1e-4], // a part of a head is rotated
    ['genai-phi3', 1e-4],
  ])('%s', { timeout: 60_000 }, async (name, bound) => {
    const file = join(EXPORTS, name, 'model.onnx')
    const kept = await load(file, (found) => found)
    expect(kept.graph.keepsPast).toBe(true)
    const [got, expected] = [await scenario(kept), await scenario(await load(file, () => null))]
    expect(got.states.map(({ length }) => length)).toEqual(expected.states.map(({ length }) => length))
    const differences = got.states.map((states, index) => {
      const wanted = expected.states[index]!
      const scale = Math.max(...wanted.map(Math.abs))
      return Math.max(...states.map((value, at) => Math.abs(value - wanted[at]!))) / scale
    })
    expect(Math.max(...differences)).toBeLessThan(bound)
    expect(got.tokens).toEqual(expected.tokens)
    expect(got.views.map(viewLength)).toEqual(expected.views.map(viewLength))
  })

  test('gives a row that runs alone the same bits in runs of any length', async () => {
    const { run } = await load(join(EXPORTS, 'genai-llama-int4/model.onnx'), (found) => found)
    const decode = async (steps: readonly number[]) => {
      let [outcome] = (await run([row(null, prompt(20, 7))], 1)).outcomes
      const states: number[] = []
      const tokens: number[] = []
      for (const count of steps) {
        const next = row(outcome!.cached, outcome!.tokens.slice(-1))
        outcome = (await run([next], Math.min(count, 100 - tokens.length))).outcomes[0]!
        tokens.push(...outcome.tokens)
        states.push(...outcome.hiddenStates!)
        if (tokens.length === 100) break
      }
      return { tokens, states }
    }
    const inShortRuns = await decode(new Array<number>(100).fill(3))
    expect(inShortRuns.tokens).toHaveLength(100)
    expect(await decode([1, 40, 80, 7, 80, 80])).toEqual(inShortRuns)
  })

  test('copies no past while its rows stay together', async () => {
    const { run } = await load(join(EXPORTS, 'genai-llama/model.onnx'), (found) => found)
    const { outcomes: fed } = await run([row(null, prompt(30, 1)), row(null, prompt(20, 2))], 1)
    const first = await run(
      fed.map(({ cached, tokens }) => row(cached, tokens)),
      4,
    )
    const second = await run(
      first.outcomes.map(({ cached, tokens }) => row(cached, tokens.slice(-1))),
      4,
    )
    expect(first.feeds.past).toBe(fed[0]!.cached!.block)
    expect(second.feeds.past).toBe(first.feeds.past)
    expect(second.feeds.recent).toBe(first.outcomes[0]!.cached!.block)
    const { block, prefix } = second.outcomes[1]!.cached!
    expect([prefix!.block, block.length]).toEqual([first.feeds.past, 8])
    expect(partsOf(second.outcomes[1]!.cached).map(({ spans }) => spans)).toEqual([[[0, 20]], [[0, 8]]])
  })
})

test('attention that is not computed exactly stays as it is', async () => {
  const found = async (file: string) => {
    const { model } = await readStepGraph(join(EXPORTS, file))
    return findOneTokenAttentions(model.graph, describeDecoder(model))
  }
  // Rotary tables chosen by the width of the mask; plain attention.
  expect(await found('genai-phi3-longrope/model.onnx')).toBeNull()
  expect(await found('optimum-llama/model.onnx')).toBeNull()
  const tiny = (options: Parameters<typeof tinyDecoder>[0]) => {
    const { model, config } = tinyDecoder({ fused: true, width: 32, ...options })
    return findOneTokenAttentions(model.graph, describeDecoder(model, config))
  }
  expect(tiny({})?.size).toBe(2)
  expect(tiny({ rotary: 'outside' })?.size).toBe(2)
  expect(tiny({ rotary: 'outside', attentionBias: true })).toBeNull()
  const { model, config } = tinyModel({ half: true, decoder: { fused: true, width: 32 } })
  expect(findOneTokenAttentions(model.graph, describeDecoder(model, config))).toBeNull()
})
