/** @file A model behind an engine process, as the rest of the service sees it. */

import type { Logger } from 'pino'
import type { LatentHead } from '#algorithms'
import { ServiceError } from '#errors'
import { createAdmission } from './admission.ts'
import { loadModelDirectory } from './model-directory.ts'
import type { OperationName, Operations } from './protocol.ts'
import { openRemoteSession } from './remote-session.ts'
import { superviseEngine } from './supervisor.ts'
import type { Engine } from './types.ts'

export interface EngineOptions {
  /** Model directory in Hugging Face layout with a `circadian.json`. */
  readonly directory: string
  /** `auto` takes CUDA where it works, else the CPU, and logs why. */
  readonly executionProvider: 'auto' | 'cpu' | 'cuda'
  readonly cudaDevice: number
  readonly logger: Logger
  /** Rows that may wait before new sessions are refused. */
  readonly maxWaitingRows?: number
  /** Threads inside one operator; one per core unless given. */
  readonly threads?: number
}

const MAX_WAITING_ROWS = 256

/**
 * Loads a model into a process of its own and resolves when it serves.
 *
 * A dead engine process rejects what was in flight with ENGINE_CRASHED and is restarted with back-off; meanwhile new
 * sessions wait briefly, then fail with ENGINE_UNAVAILABLE.
 *
 * @throws ServiceError MODEL_INVALID, MODEL_UNSUPPORTED, ONNX_INVALID, PROVIDER_UNAVAILABLE, SESSION_FAILED
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { logger } = options
  const directory = await loadModelDirectory(options.directory)
  const { sizes, info } = directory
  const supervisor = await superviseEngine(
    {
      graphFile: directory.graphFile,
      config: directory.config,
      sizes,
      executionProvider: options.executionProvider,
      cudaDevice: options.cudaDevice,
      threads: options.threads ?? null,
    },
    logger,
  )
  const { provider } = await supervisor.connection()
  const admission = createAdmission({
    maxWaitingRows: options.maxWaitingRows ?? MAX_WAITING_ROWS,
    runningRows: () => supervisor.current()?.load().runningRows ?? 0,
  })
  let sessionsOpened = 0
  let sessionsOpen = 0

  function checkPrompt(prompt: readonly number[]): void {
    if (prompt.length === 0 || prompt.length >= sizes.contextLength) {
      throw new ServiceError(
        prompt.length === 0 ? 'REQUEST_INVALID' : 'PROMPT_TOO_LONG',
        `open session: expected a prompt of 1 to ${sizes.contextLength - 1} tokens, got ${prompt.length}`,
      )
    }
  }

  /** One id out of range would fail the run of everybody in its batch, or worse on a GPU. */
  function checkTokens(what: string, tokens: readonly number[]): void {
    const stranger = tokens.find(
      (token) => !Number.isInteger(token) || token < 0 || token >= sizes.vocabularySize,
    )
    if (stranger !== undefined) {
      throw new ServiceError(
        'REQUEST_INVALID',
        `${what}: expected token ids in [0, ${sizes.vocabularySize}), got ${stranger}`,
      )
    }
  }

  async function callHead<Name extends OperationName>(
    operation: Name,
    params: Operations[Name]['params'],
    signal: AbortSignal,
  ): Promise<Operations[Name]['result']> {
    if (signal.aborted) throw aborted(signal)
    const connection = await supervisor.connection()
    const result = await connection.call(operation, params)
    if (signal.aborted) throw aborted(signal)
    return result
  }

  const head: LatentHead = {
    ascend: (request, signal) => callHead('ascend', request, signal),
    decode: (latents, signal) => callHead('decode', latents, signal),
    sample: (latents, { rollouts, temperature, seed }, signal) =>
      callHead('sample', { latents, rollouts, temperature, seed }, signal),
  }

  return {
    model: info,
    codec: directory.codec,
    hiddenSize: sizes.hiddenSize,
    contextLength: sizes.contextLength,
    eosTokenIds: sizes.eosTokenIds,
    head,
    async open(prompt, { signal }) {
      checkPrompt(prompt)
      checkTokens('open session', prompt)
      if (signal.aborted) throw aborted(signal)
      const started = admission.admit()
      try {
        const connection = await supervisor.connection()
        sessionsOpen += 1
        return openRemoteSession({
          id: ++sessionsOpened,
          prompt,
          connection,
          admission,
          signal,
          checkTokens,
          onStart: started,
          onClose: () => {
            sessionsOpen -= 1
          },
        })
      } catch (thrown) {
        started()
        throw thrown
      }
    },
    status() {
      const connection = supervisor.current()
      const load = connection?.load()
      const runningRows = load?.runningRows ?? 0
      return {
        state: supervisor.state(),
        provider: connection?.provider ?? provider,
        pid: connection?.pid ?? null,
        restarts: supervisor.restarts(),
        sessions: sessionsOpen,
        waitingSessions: Math.max(0, admission.openSessions() - (load?.runningSessions ?? 0)),
        waitingRows: Math.max(0, admission.openRows() - runningRows),
        runningRows,
        cachedSequences: load?.cachedSequences ?? 0,
        cacheBytes: load?.cacheBytes ?? 0,
        keptPrompts: load?.keptPrompts ?? 0,
        totals: supervisor.totals(),
      }
    },
    close: () => supervisor.close(),
  }
}

function aborted(signal: AbortSignal): ServiceError {
  return new ServiceError('ABORTED', 'engine: aborted by the caller', { cause: signal.reason })
}
