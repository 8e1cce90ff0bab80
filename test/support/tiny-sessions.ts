/** @file The engine process's inside, in this process: sessions over a scheduler over real ONNX Runtime. */

import { compileGeneration, compileHead, compileHeadLogits, describeDecoder } from '#decoder'
import { createGenerationGraph } from '../../src/engine/child/generation-graph.ts'
import { createHeadGraph, type HeadGraph } from '../../src/engine/child/head-graph.ts'
import { createSession } from '../../src/engine/child/onnx-runtime.ts'
import {
  createScheduler,
  type Scheduler,
  type SchedulerLimits,
  type StepRunner,
} from '../../src/engine/child/scheduler.ts'
import { createSessions, type Sessions } from '../../src/engine/child/sessions.ts'
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
  /** Every run of the generation graph so far. */
  readonly runs: RunRecord[]
  /** Makes the next runs with at least this many rows fail; 0 = none. */
  failFrom(rows: number): void
}

export interface TinySessionsOptions {
  readonly decoder?: TinyDecoderOptions
  readonly limits?: Partial<SchedulerLimits>
  readonly padding?: 'any' | 'exact'
  readonly cacheBytes?: number
  readonly contextLength?: number
}

export async function tinySessions(options: TinySessionsOptions = {}): Promise<TinySessions> {
  const { model, config } = tinyDecoder(options.decoder)
  const description = describeDecoder(model, config)
  const { hiddenSize } = description
  const load = (graph: Uint8Array) =>
    createSession(graph, { provider: 'cpu', cudaDevice: 0, threads: 1, dataFolder: null })
  const graph = createGenerationGraph(await load(compileGeneration(model, description)), {
    layout: {
      layers: description.layers,
      heads: description.keyValueHeads,
      headSize: description.headSize,
      type: description.dtype,
    },
    padding: options.padding ?? description.padding,
    hiddenSize,
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
  let failing = 0
  const runner: StepRunner = {
    ...graph,
    async run(feeds, fetch) {
      const { rows, steps, inputLength, past } = feeds
      runs.push({ rows, steps, inputLength, pastLength: past.length, present: fetch.present })
      if (failing > 0 && rows >= failing) throw new Error('out of memory')
      return await graph.run(feeds, fetch)
    },
  }
  const scheduler = createScheduler({
    runner,
    eosTokenIds: [EOS],
    limits: { maxRunningRows: 32, chunkTokens: 8, maxInputTokens: 64, ...options.limits },
  })
  const sessions = createSessions({
    scheduler,
    layout: runner.layout,
    hiddenSize,
    contextLength: options.contextLength ?? TINY_CONTEXT,
    eosTokenIds: [EOS],
    cacheBytes: options.cacheBytes ?? 2 ** 30,
    headLogits: head.logits,
  })
  return {
    sessions,
    scheduler,
    head,
    runs,
    failFrom(rows) {
      failing = rows
    },
  }
}
