/** @file The role `serve`: loads a model and answers the messages of its sessions. */

import { constants, setPriority } from 'node:os'
import { ServiceError } from '#errors'
import { MAX_HEAD_MS } from '../head-in-slices.ts'
import type { MessageFromChild, ServeOptions, StartedRole } from '../protocol.ts'
import { createGraphs } from './graphs.ts'
import { bytesPerPosition } from './key-values.ts'
import { type LoadedGraphs, loadGraphs } from './load-graphs.ts'
import { deviceMemory, inGiB, memoryLimit } from './memory.ts'
import { createMemoryBudget, type MemoryBudget } from './memory-budget.ts'
import type { PrefixLimits } from './prefix-cache.ts'
import { createScheduler, type SchedulerLimits } from './scheduler.ts'
import { createSessions } from './sessions.ts'

/**
 * Limits per provider. A run aims at 100 ms: new rows and cancellations wait for its end. On the CPU it takes at
 * most 64 tokens: in long runs short answers end together (a mix of draft, ascent and verdicts in 32 lanes took 10
 * ms a request with up to 64 tokens per run, 14 to 17 ms with 8 to 32). On CUDA every run copies the caches to the
 * host and back, so it takes 16 tokens at least, however long they take. Not yet run on a GPU. Runs that are shared
 * are shorter, because every call of another caller waits for one.
 */
export const LIMITS: Readonly<Record<'cpu' | 'cuda', SchedulerLimits>> = {
  cpu: {
    maxRunningRows: 32,
    chunkTokens: [1, 64],
    runMs: 100,
    shared: { chunkTokens: [1, 64], runMs: 3 },
    minInputTokens: 32,
    maxInputTokens: 512,
  },
  cuda: {
    maxRunningRows: 64,
    chunkTokens: [16, 1024],
    runMs: 100,
    shared: { chunkTokens: [16, 64], runMs: 50 },
    minInputTokens: 256,
    maxInputTokens: 8192,
  },
}

/** Share of the memory of the machine (or the container) that all engine processes may take, by default. */
const MACHINE_SHARE = 0.75
/** Share of the memory of a device that its process may take, by default. */
const DEVICE_SHARE = 0.9
/** Share of that memory for caches kept between runs. */
const CACHE_SHARE = 0.25
/** Buffers for the attention scores of a run: the scores, and their softmax in graphs that do not fuse the two. */
const SCORE_BUFFERS = 2

/**
 * Limits of the prefix cache. A token that need not be fed saves 0.02 ms on the bundled model (a prompt of 17
 * tokens: 0.75 ms whole, 0.46 ms when 16 are known, 0.60 ms when 8 are) and 0.8 to 1.5 ms on a model of 61M
 * weights (eight prompts of 320 tokens that differ in the last: 3.6 s or 0.2 s). Below 16 tokens the gain is
 * lost in the noise of a request, and rows of many lengths share fewer runs.
 */
export const PREFIXES: PrefixLimits = { minTokens: 16, maxPrompts: 64 }

/** Upper bound, in ms, on the age of the counters reported to the API process during runs. */
const MAX_TOTALS_AGE_MS = 250

/** Duration from which on a run is announced; the limit of the heartbeat covers all shorter runs. */
const MIN_ANNOUNCED_MS = 1000

/** Loads the model and starts its scheduler and sessions. */
export async function serve(
  options: ServeOptions,
  provider: 'cpu' | 'cuda',
  send: (message: MessageFromChild) => void,
): Promise<StartedRole<'serve'>> {
  // Must precede ONNX Runtime's threads, which inherit the priority.
  if (options.inBackground) setPriority(constants.priority.PRIORITY_LOW)
  const machine = memoryLimit()
  const graphs = await loadGraphs(options, provider, options.memoryBytes ?? machine)
  const { generation, head } = graphs
  const { thoughtLayers } = generation
  // The caches that are kept between runs are in the memory of the machine, on CUDA too.
  const hostBytes = provider === 'cuda' ? machine : (options.memoryBytes ?? MACHINE_SHARE * machine)
  const cacheBytes = (CACHE_SHARE / options.replicas) * hostBytes
  const memory = await budgetOfRuns(options, provider, graphs, cacheBytes)
  if (thoughtLayers === 0) {
    const message = options.recurrence
      ? `latent thoughts are off: the states of the core beside ${options.graphFile} are not as wide as the latents`
      : `latent thoughts are off: the layers of ${options.graphFile} could not be identified`
    send({ type: 'log', level: 'warn', message, fields: {} })
  }
  const scheduler = createScheduler({
    runner: generation,
    eosTokenIds: options.sizes.eosTokenIds,
    limits: LIMITS[provider],
    memory,
    onOutOfMemory(bytes, { message }) {
      const text = `a run failed for want of memory: runs are limited to ${inGiB(bytes)} from now on`
      send({ type: 'log', level: 'warn', message: text, fields: { budgetBytes: bytes, error: message } })
    },
    onLoad: reportLoad,
    onSessions: reportSessions,
    onRun(expectedMs) {
      if (expectedMs >= MIN_ANNOUNCED_MS) send({ type: 'busy', expectedMs })
    },
  })
  const sessions = createSessions({
    scheduler,
    layout: generation.layout,
    ...options.sizes,
    thoughtLayers,
    cacheBytes,
    prefixes: PREFIXES,
    onTokens: (session, stream, tokens) => send({ type: 'tokens', session, stream, tokens }),
    headLogits: (states, tokens) => head.logits(states, tokens, MAX_HEAD_MS),
  })

  let reported = ''
  let reportedAt = 0
  function reportLoad(): void {
    const load = { ...sessions.load(), ...scheduler.load() }
    const text = JSON.stringify(load)
    const now = performance.now()
    if (text === reported && now - reportedAt < MAX_TOTALS_AGE_MS) return
    reported = text
    reportedAt = now
    send({ type: 'load', load, totals: scheduler.totals() })
  }

  let running = ''
  function reportSessions(ids: readonly number[]): void {
    const text = ids.join()
    if (text === running) return
    running = text
    send({ type: 'running', sessions: ids })
  }

  return {
    thoughtLayers,
    handlers: {
      embed: ({ session }) => sessions.embed(session),
      pool: ({ session, ...span }) => sessions.pool(session, span),
      generate: ({ session, rows }) => sessions.generate(session, rows),
      score: ({ session, rows, tokens }) => sessions.score(session, rows, tokens),
      ascend: ({ caller, ...request }) =>
        scheduler.runBetweenBatches(() => head.ascend(request, MAX_HEAD_MS), caller),
      decode: ({ caller, ...latents }) =>
        scheduler.runBetweenBatches(() => head.decode(latents, MAX_HEAD_MS), caller),
      likelyTokens: ({ caller, latents, count }) =>
        scheduler.runBetweenBatches(() => head.likelyTokens(latents, count, MAX_HEAD_MS), caller),
      sample: ({ caller, latents, uniforms, temperature }) =>
        scheduler.runBetweenBatches(() => head.sample(latents, uniforms, temperature, MAX_HEAD_MS), caller),
      // These graphs are small: a second thread each would occupy a core and not make them faster.
      ...createGraphs({
        provider,
        cudaDevice: options.cudaDevice,
        threads: 1,
        turn: scheduler.runBetweenBatches,
      }),
    },
    receive(message) {
      switch (message.type) {
        case 'open':
          sessions.open(message.session, message.prompt, message)
          break
        case 'stopSession':
          sessions.stop(message.session)
          break
        case 'endRow':
          sessions.endRow(message.session, message.stream)
          break
        case 'close':
          sessions.close(message.session)
          break
      }
      reportLoad()
    },
  }
}

/**
 * Returns the memory of the runs of this process: its share of what all may take, without the loaded model and the
 * caches kept between runs. Without bound on a device whose memory is not known.
 *
 * @throws ServiceError MODEL_UNSUPPORTED when the model leaves nothing
 */
async function budgetOfRuns(
  { memoryBytes, replicas, cudaDevice }: ServeOptions,
  provider: 'cpu' | 'cuda',
  { weights, queryHeads, generation: { layout } }: LoadedGraphs,
  cacheBytes: number,
): Promise<MemoryBudget> {
  const cost = { positionBytes: bytesPerPosition(layout), scoreBytes: SCORE_BUFFERS * 4 * queryHeads }
  if (provider === 'cuda') {
    const device = (await deviceMemory(cudaDevice)) ?? Number.POSITIVE_INFINITY
    const share = memoryBytes == null ? DEVICE_SHARE * device : memoryBytes / replicas
    return createMemoryBudget({ ...cost, bytes: share - weights })
  }
  const share = (memoryBytes ?? MACHINE_SHARE * memoryLimit()) / replicas
  // Mapped weights are resident once they are used.
  const model = Math.max(weights, process.memoryUsage.rss())
  const bytes = share - model - cacheBytes
  if (bytes > 0) return createMemoryBudget({ ...cost, bytes })
  throw new ServiceError(
    'MODEL_UNSUPPORTED',
    `load model: expected memory for runs, got ${inGiB(share)} for each process, of which the loaded model takes ` +
      `${inGiB(model)} and kept caches ${inGiB(cacheBytes)}; raise ENGINE_MEMORY_BYTES`,
  )
}
