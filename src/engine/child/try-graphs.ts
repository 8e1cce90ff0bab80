/** @file Runs every compiled graph of a model once when it is loaded. */

import { coerceError, ServiceError } from '#errors'
import type { ServeOptions } from '../protocol.ts'
import type { HeadGraph } from './head-graph.ts'
import { allocateFresh } from './key-values.ts'
import { composeFeeds, type StepOutcome, type StepRow, type StepRunner, splitFetches } from './step-batch.ts'

/** The compiled graphs of a model, loaded. */
export interface Graphs {
  readonly generation: StepRunner
  readonly head: HeadGraph
}

/** Sampling of the tried rows, in which every rule has an effect. */
const SAMPLING = { topK: 8, topP: 0.9, minP: 0.01, repetitionPenalty: 1.1 } as const

/**
 * Decodes two tokens of two rows, samples two more on their caches, and reads and ascends the head. The numbers
 * are not compared with anything, but they must be finite.
 *
 * @throws ServiceError MODEL_UNSUPPORTED when a graph does not run or computes NaN or infinity
 */
export async function tryGraphs(graphs: Graphs, { graphFile, sizes }: ServeOptions): Promise<void> {
  const tried = await tryOut(graphs, sizes).catch((thrown: unknown) => {
    const { message } = coerceError(thrown)
    throw unsupported(graphFile, message, thrown)
  })
  if (!tried.every(Number.isFinite)) throw unsupported(graphFile, 'states that are NaN or infinite')
}

async function tryOut({ generation, head }: Graphs, sizes: ServeOptions['sizes']): Promise<Float32Array> {
  const { layout, padding, hiddenSize, thoughtLayers } = generation
  const noEnd = new Set<number>()
  const token = sizes.eosTokenIds[0] ?? 1
  const row = (input: readonly number[]): StepRow => ({
    past: null,
    input,
    temperature: 0,
    remaining: 2,
    uniforms: null,
    thoughtFrom: 0,
  })
  const sampled = (input: readonly number[], past: StepRow['past']): StepRow => ({
    ...row(input),
    past,
    temperature: 1,
    sampling: SAMPLING,
    seenTokens: input,
    uniforms: Float32Array.of(0.1, 0.9),
  })
  const run = async (rows: readonly StepRow[]): Promise<StepOutcome[]> => {
    const feeds = composeFeeds(generation, rows, 2, allocateFresh(layout))
    const fetched = { hiddenStates: true, thoughtSums: thoughtLayers > 0, signals: true, present: true }
    return splitFetches(rows, feeds, await generation.run(feeds, fetched), noEnd)
  }
  const second = padding === 'equal' ? [0, token] : [token]
  const first = await run([row([token, 0]), row(second)])
  const resumed = await run(first.map(({ tokens, cached }) => sampled(tokens.slice(-1), cached)))
  const states = resumed[0]!.hiddenStates!

  const latents = { data: states.slice(0, hiddenSize), length: 1, width: hiddenSize }
  const tokens = await head.decode(latents)
  await head.sample(latents, [Float32Array.of(0.5)], 1)
  await head.logits(latents.data, tokens)
  const { latents: ascended } = await head.ascend({
    latents,
    adam: { m: new Float32Array(hiddenSize), v: new Float32Array(hiddenSize), step: 0 },
    actions: [tokens],
    advantages: [-1],
    lr: 0.01,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    temperature: 1,
    maxSteps: 1,
    untilChanged: false,
  })
  return Float32Array.of(...states, ...ascended.data)
}

function unsupported(graphFile: string, found: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'MODEL_UNSUPPORTED',
    `try model: expected one decode step of ${graphFile} to run, got: ${found}`,
    cause === undefined ? {} : { cause },
  )
}
