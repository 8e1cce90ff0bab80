/** @file Loads a model into engine processes and exposes it to the rest of the service. */

import type { Logger } from 'pino'
import { scoredLayers } from '#decoder'
import { ServiceError } from '#errors'
import type { LatentHead, TokenMaps } from '#ports'
import { createRandom } from '#tensor'
import { createAdmission } from './admission.ts'
import { ascendInSlices, readInSlices } from './head-in-slices.ts'
import { loadModelDirectory, type ModelDirectory } from './model-directory.ts'
import type { OperationOf, Operations } from './protocol.ts'
import { createQuarantine } from './quarantine.ts'
import { resolveThinking } from './recurrent-thinking.ts'
import { openRemoteSession } from './remote-session.ts'
import { type Replicas, startReplicas } from './replicas.ts'
import { createServedGraphs } from './served-graphs.ts'
import type { Engine, ReplicaStatus } from './types.ts'

export interface EngineOptions {
  /**
   * Model directory in Hugging Face layout, with a `circadian.json` unless its default profile is enough; or what
   * `loadModelDirectory` read of one.
   */
  readonly directory: string | ModelDirectory
  /** `auto` takes CUDA where it works, else the CPU, and logs the reason. */
  readonly executionProvider: 'auto' | 'cpu' | 'cuda'
  readonly cudaDevice: number
  readonly logger: Logger
  /**
   * Number of engine processes of the model, 1 by default. On CUDA each has its own device, from `cudaDevice`
   * on; on the CPU they share the cores.
   */
  readonly replicas?: number
  /**
   * Memory that the processes may take together, in bytes: of the machine, or on CUDA of the devices. By default
   * three quarters of the memory of the machine (or the container), or nine tenths of the devices.
   */
  readonly memoryBytes?: number | null
  /** Number of waiting rows from which on new sessions are refused; 256 by default. */
  readonly maxWaitingRows?: number
  /** Threads inside one operator; one per core by default. */
  readonly threads?: number
  /** Runs the processes at the lowest priority: for work without a waiting client. */
  readonly inBackground?: boolean
  /**
   * Silence, in ms, after which a process that announced no long run is killed and replaced; 5 s by default,
   * 60 s in the background.
   */
  readonly heartbeatLimitMs?: number
}

const NEVER = new AbortController().signal
const MAX_WAITING_ROWS = 256
const HEARTBEAT_LIMIT_MS = 5000
const BACKGROUND_HEARTBEAT_LIMIT_MS = 60_000

/**
 * Loads a model into one or several processes, and resolves when they serve.
 *
 * When an engine process dies or hangs, its calls in flight fail with ENGINE_CRASHED, or with
 * ENGINE_CRASHED_BY_REQUEST where the session was in its last run, and it is restarted with back-off; the other
 * processes continue to serve. While there are none, new sessions wait for a restart, up to twice the time of a
 * start, then fail with ENGINE_UNAVAILABLE.
 *
 * @throws ServiceError MODEL_INVALID, MODEL_UNSUPPORTED, ONNX_INVALID, PROVIDER_UNAVAILABLE, SESSION_FAILED
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { logger, inBackground = false } = options
  const directory =
    typeof options.directory === 'string' ? await loadModelDirectory(options.directory) : options.directory
  const { sizes, info, warning, notes } = directory
  if (warning !== null) logger.warn({ directory: info.directory, profile: info.profile }, warning)
  for (const note of notes) logger.info(note)
  const replicas = await startReplicas(
    {
      graphFile: directory.graphFile,
      config: directory.config,
      sizes,
      recurrence: info.profile.recurrence ?? null,
      executionProvider: options.executionProvider,
      cudaDevice: options.cudaDevice,
      threads: options.threads ?? null,
      replicas: options.replicas ?? 1,
      memoryBytes: options.memoryBytes ?? null,
      inBackground,
    },
    {
      logger,
      heartbeatLimitMs:
        options.heartbeatLimitMs ?? (inBackground ? BACKGROUND_HEARTBEAT_LIMIT_MS : HEARTBEAT_LIMIT_MS),
    },
  )
  const admission = createAdmission({
    maxWaitingRows: options.maxWaitingRows ?? MAX_WAITING_ROWS,
    runningRows: () => replicas.running().rows,
  })
  const quarantine = createQuarantine()
  let sessionsOpened = 0
  const checkIds = (what: string, tokens: readonly number[]) =>
    checkTokens(what, tokens, sizes.vocabularySize)

  return {
    model: info,
    codec: directory.codec,
    hiddenSize: sizes.hiddenSize,
    thoughtLayers: replicas.thoughtLayers,
    scoredLayers: scoredLayers(replicas.thoughtLayers).length,
    contextLength: sizes.contextLength,
    eosTokenIds: sizes.eosTokenIds,
    head: createRemoteHead(replicas, ''),
    headOf: (caller) => createRemoteHead(replicas, caller),
    graphs: createServedGraphs(replicas),
    checkRoom: (caller = '') => admission.check(caller),
    async open(prompt, options) {
      const { signal, stopSignal = NEVER, priority = 'interactive', caller = '' } = options
      const { deadlineMs = null, stopAfterMs = null, isolated = false, tokenMaps = null } = options
      const thinking = resolveThinking(info.profile.recurrence, options.thinking)
      checkMaps(tokenMaps, scoredLayers(replicas.thoughtLayers).length * sizes.hiddenSize)
      checkPrompt(prompt, sizes.contextLength)
      checkIds('open session', prompt)
      const ending = AbortSignal.any([signal, stopSignal])
      if (ending.aborted) throw aborted(ending)
      const admitted = admission.admit(priority, caller)
      let leaveQuarantine = () => {}
      try {
        if (isolated) leaveQuarantine = await unlessAborted(ending, quarantine.enter(), (leave) => leave())
        const place = await unlessAborted(ending, replicas.place(), ({ leave }) => leave())
        return openRemoteSession({
          id: ++sessionsOpened,
          prompt,
          connection: place.connection,
          priority,
          caller,
          deadlineMs,
          stopAfterMs,
          isolated,
          tokenMaps,
          thinking,
          signal,
          stopSignal,
          checkTokens: checkIds,
          onCall(rows) {
            const done = admitted.submit(rows)
            const free = place.addRows(rows)
            return () => {
              done()
              free()
            }
          },
          onClose() {
            admitted.close()
            place.leave()
            leaveQuarantine()
          },
        })
      } catch (thrown) {
        admitted.close()
        leaveQuarantine()
        throw thrown
      }
    },
    status() {
      const processes = replicas.status()
      return {
        ...summary(processes),
        waitingSessions: Math.max(0, admission.openSessions() - replicas.running().sessions),
        replicas: processes,
        totals: replicas.totals(),
      }
    },
    close: () => replicas.close(),
  }
}

function checkPrompt(prompt: readonly number[], contextLength: number): void {
  if (prompt.length === 0 || prompt.length >= contextLength) {
    throw new ServiceError(
      prompt.length === 0 ? 'REQUEST_INVALID' : 'PROMPT_TOO_LONG',
      `open session: expected a prompt of 1 to ${contextLength - 1} tokens, got ${prompt.length}`,
    )
  }
}

/** Throws unless the maps have the width of the model's scored states: others would fail a whole batch. */
function checkMaps(maps: TokenMaps | null, width: number): void {
  if (maps === null || maps.weights.length === 2 * width) return
  throw new ServiceError(
    'SHAPE_MISMATCH',
    `open session: expected token maps of ${2 * width} weights, got ${maps.weights.length}`,
  )
}

/**
 * Throws unless all ids are in the vocabulary: one id out of range would fail a whole batch, or worse on a
 * GPU.
 */
function checkTokens(what: string, tokens: readonly number[], vocabularySize: number): void {
  const unknown = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabularySize)
  if (unknown !== undefined) {
    throw new ServiceError(
      'REQUEST_INVALID',
      `${what}: expected token ids in [0, ${vocabularySize}), got ${unknown}`,
    )
  }
}

/** Creates a client of the LM head for a caller. Any engine process can answer its calls. */
function createRemoteHead(replicas: Replicas, caller: string): LatentHead {
  async function callHead<Name extends OperationOf<'serve'>>(
    operation: Name,
    params: Operations[Name]['params'],
    signal: AbortSignal,
  ): Promise<Operations[Name]['result']> {
    if (signal.aborted) throw aborted(signal)
    const call = replicas.use((connection) => connection.call(operation, params))
    // The process may be inside a run, or restart: the time of the request does not wait for it.
    return await unlessAborted(signal, call, () => {})
  }

  return {
    ascend: (request, signal) =>
      ascendInSlices(request, (slice) => callHead('ascend', { ...slice, caller }, signal)),
    decode: (latents, signal) =>
      readInSlices(latents, (rest) => callHead('decode', { ...rest, caller }, signal)),
    likelyTokens: (latents, count, signal) =>
      readInSlices(latents, (rest) => callHead('likelyTokens', { caller, latents: rest, count }, signal)),
    async sample(latents, { rollouts, temperature, seed }, signal) {
      const random = createRandom(seed)
      const drawn = Array.from({ length: rollouts }, () =>
        Float32Array.from({ length: latents.length }, () => random.uniform()),
      )
      const uniforms = drawn[0]
        ? Array.from(drawn[0], (_, position) => Float32Array.from(drawn, (row) => row[position]!))
        : []
      const tokens = await readInSlices(latents, (rest, from) =>
        callHead('sample', { caller, latents: rest, uniforms: uniforms.slice(from), temperature }, signal),
      )
      return drawn.map((_, rollout) => tokens.map((atPosition) => atPosition[rollout]!))
    },
  }
}

function summary(replicas: readonly ReplicaStatus[]): ReplicaStatus {
  const sum = (count: (replica: ReplicaStatus) => number) =>
    replicas.reduce((total, replica) => total + count(replica), 0)
  const ages = replicas.flatMap(({ heartbeatAgeMs }) => heartbeatAgeMs ?? [])
  const first = replicas.find(({ state }) => state === 'ready') ?? replicas[0]!
  return {
    state: first.state,
    provider: first.provider,
    pid: first.pid,
    restarts: sum(({ restarts }) => restarts),
    heartbeatAgeMs: ages.length === 0 ? null : Math.max(...ages),
    sessions: sum(({ sessions }) => sessions),
    waitingRows: sum(({ waitingRows }) => waitingRows),
    runningRows: sum(({ runningRows }) => runningRows),
    cachedSequences: sum(({ cachedSequences }) => cachedSequences),
    cacheBytes: sum(({ cacheBytes }) => cacheBytes),
    keptPrompts: sum(({ keptPrompts }) => keptPrompts),
  }
}

/**
 * Returns the result of `work`. @param undo called with a result that comes too late
 * @throws ServiceError ABORTED when `signal` fires first
 */
async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>, undo: (late: T) => void): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(aborted(signal))
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } catch (thrown) {
    if (signal.aborted) work.then(undo, () => undefined)
    throw thrown
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function aborted(signal: AbortSignal): ServiceError {
  return new ServiceError('ABORTED', 'engine: aborted by the caller', { cause: signal.reason })
}
