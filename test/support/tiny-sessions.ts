/** @file The inside of the engine process, run in the test process: sessions, scheduler and ONNX Runtime. */

import {
  compileGeneration,
  compileHead,
  compileHeadLogits,
  describeDecoder,
  findOneTokenAttentions,
} from '#decoder'
import { DATA_TYPES, int, type Model, type Node, type Value } from '#onnx'
import { createGenerationGraph } from '../../src/engine/child/generation-graph.ts'
import { createHeadGraph, type HeadGraph } from '../../src/engine/child/head-graph.ts'
import { bytesPerPosition } from '../../src/engine/child/key-values.ts'
import { createMemoryBudget } from '../../src/engine/child/memory-budget.ts'
import { createSession } from '../../src/engine/child/onnx-runtime.ts'
import type { PrefixLimits } from '../../src/engine/child/prefix-cache.ts'
import { createScheduler, type Scheduler, type SchedulerLimits } from '../../src/engine/child/scheduler.ts'
import { createSessions, type Sessions } from '../../src/engine/child/sessions.ts'
import type { StepRunner } from '../../src/engine/child/step-batch.ts'
import { inHalfPrecision } from '../fixtures/half-decoder.ts'
import { type TinyDecoderOptions, tinyDecoder } from '../fixtures/tiny-decoder.ts'
import { TINY_CONTEXT } from '../fixtures/tiny-model-directory.ts'

export const EOS = 2

export interface RunRecord {
  readonly rows: number
  readonly steps: number
  readonly inputLength: number
  readonly pastLength: number
  readonly present: boolean
}

export interface TinySessions {
  readonly sessions: Sessions
  readonly scheduler: Scheduler
  readonly head: HeadGraph
  readonly graph: StepRunner
  /** All runs of the generation graph. */
  readonly runs: RunRecord[]
  /** Sessions of the rows in a run, as announced before it; empty where other work was announced. */
  readonly running: (readonly number[])[]
  /** Expected duration of each of them, as announced just before it. */
  readonly expectedMs: number[]
  /** Rows of each read of verdict logits. */
  readonly readRows: readonly number[]
  /** Writes the profile requested by `profile`. */
  endProfiling(): void
  /** Makes later runs with at least this many rows fail with the message; 0 = no run fails. */
  failFrom(rows: number, message?: string): void
  /** Budgets that were reported after a run had failed for want of memory. */
  readonly budgets: number[]
}

export interface TinySessionsOptions {
  readonly decoder?: TinyDecoderOptions
  readonly limits?: Partial<SchedulerLimits>
  readonly cacheBytes?: number
  /** Memory of the runs; without bound by default. */
  readonly memoryBytes?: number
  /** Limits of the prompt cache; by default no prompt is kept for later sessions. */
  readonly prefixes?: PrefixLimits
  readonly contextLength?: number
  /** Keys and values in half precision. */
  readonly halfCaches?: boolean
  /** The whole decoder in half precision, as in exports for GPUs. */
  readonly half?: boolean
  /** False: the description has no layer states. */
  readonly thoughts?: boolean
  /** Bound on the positions of a run, as in graphs that switch their rope beyond it. */
  readonly maxWidth?: number
  /** Upper bound, in ms, on the reads of the head for one batch of verdicts; none by default. */
  readonly headMs?: number
  readonly provider?: 'cpu' | 'cuda'
  /** File prefix for a profile of the generation graph. */
  readonly profile?: string
  /** Receives the tokens of rows with a `stream`. */
  readonly onTokens?: (session: number, stream: number, tokens: readonly number[]) => void
}

/** Returns the model that the sessions run. */
export function tinyModel(options: TinySessionsOptions = {}) {
  const tiny = tinyDecoder(options.decoder)
  const halved = options.half ? inHalfPrecision(tiny.model) : tiny.model
  return { ...tiny, model: options.halfCaches ? withHalfCaches(tiny.model) : halved }
}

export async function tinySessions(options: TinySessionsOptions = {}): Promise<TinySessions> {
  const { model, config } = tinyModel(options)
  const described = describeDecoder(model, config)
  const description = options.thoughts === false ? { ...described, layerStates: null } : described
  const { hiddenSize } = description
  const load = (graph: Uint8Array, profile?: string) =>
    createSession(graph, {
      provider: options.provider ?? 'cpu',
      cudaDevice: 0,
      threads: 1,
      dataFolder: null,
      ...(profile !== undefined && { profile }),
    })
  const attentions = options.provider === 'cuda' ? null : findOneTokenAttentions(model.graph, description)
  const generation = await load(compileGeneration(model, description, attentions), options.profile)
  const graph = createGenerationGraph(generation, {
    layout: {
      layers: description.layers,
      heads: description.keyValueHeads,
      headSize: description.headSize,
      type: description.dtype,
    },
    padding: description.padding,
    keepsPast: attentions !== null,
    maxWidth: options.maxWidth ?? description.maxWidth,
    hiddenSize,
    thoughtLayers: description.layerStates?.length ?? 0,
    eosTokenIds: [EOS],
    padTokenId: 0,
  })
  const head = createHeadGraph(
    {
      step: await load(compileHead(model, description)),
      logits: await load(compileHeadLogits(model, description)),
    },
    hiddenSize,
  )
  const runs: RunRecord[] = []
  const expectedMs: number[] = []
  const readRows: number[] = []
  const running: (readonly number[])[] = []
  const budgets: number[] = []
  let failing = 0
  let failure = ''
  const runner: StepRunner = {
    ...graph,
    async run(feeds, fetch) {
      const { rows, steps, inputLength, past } = feeds
      runs.push({ rows, steps, inputLength, pastLength: past.length, present: fetch.present })
      if (failing > 0 && rows >= failing) throw new Error(failure)
      return await graph.run(feeds, fetch)
    },
  }
  const scheduler = createScheduler({
    runner,
    eosTokenIds: [EOS],
    limits: {
      maxRunningRows: 32,
      chunkTokens: [8, 8],
      runMs: 0,
      maxInputTokens: 64,
      ...options.limits,
    },
    memory: createMemoryBudget({
      bytes: options.memoryBytes ?? Number.POSITIVE_INFINITY,
      positionBytes: bytesPerPosition(runner.layout),
    }),
    onOutOfMemory: (bytes) => void budgets.push(bytes),
    onRun: (ms) => void expectedMs.push(ms),
    onSessions: (ids) => void running.push(ids),
  })
  const sessions = createSessions({
    scheduler,
    layout: runner.layout,
    hiddenSize,
    thoughtLayers: runner.thoughtLayers,
    contextLength: options.contextLength ?? TINY_CONTEXT,
    eosTokenIds: [EOS],
    cacheBytes: options.cacheBytes ?? 2 ** 30,
    ...(options.onTokens && { onTokens: options.onTokens }),
    prefixes: options.prefixes ?? { minTokens: Number.POSITIVE_INFINITY, maxPrompts: 0 },
    headLogits: async (states, tokens) => {
      const logits = await head.logits(states, tokens, options.headMs)
      readRows.push(logits.length)
      return logits
    },
  })
  return {
    sessions,
    scheduler,
    head,
    graph,
    runs,
    running,
    expectedMs,
    readRows,
    endProfiling: generation.endProfiling,
    budgets,
    failFrom(rows, message = 'a broken kernel') {
      failing = rows
      failure = message
    },
  }
}

/** Returns the decoder with its caches cast to fp16 as outputs and back to fp32 as inputs. */
function withHalfCaches(model: Model): Model {
  const { graph } = model
  const isCache = ({ name }: Value) => name.startsWith('past_key_values.') || name.startsWith('present.')
  const caches = new Set([...graph.inputs, ...graph.outputs].filter(isCache).map(({ name }) => name))
  const inner = (name: string) => (caches.has(name) ? `${name}/fp32` : name)
  const cast = (input: string, output: string, to: number): Node => ({
    opType: 'Cast',
    domain: '',
    name: `cast ${output}`,
    inputs: [input],
    outputs: [output],
    attributes: new Map([['to', int(to)]]),
  })
  const halved = (border: Value) =>
    isCache(border) ? { ...border, type: { ...border.type!, dataType: DATA_TYPES.float16 } } : border
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map(halved),
      outputs: graph.outputs.map(halved),
      nodes: [
        ...graph.inputs.filter(isCache).map(({ name }) => cast(name, inner(name), DATA_TYPES.float32)),
        ...graph.nodes.map((node) => ({
          ...node,
          inputs: node.inputs.map(inner),
          outputs: node.outputs.map(inner),
        })),
        ...graph.outputs.filter(isCache).map(({ name }) => cast(inner(name), name, DATA_TYPES.float16)),
      ],
    },
  }
}
