/** @file The engine that a consolidation solves questions on, at background priority. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine } from '#engine'
import { coerceError, type ErrorCode, hasCode, ServiceError } from '#errors'
import type { SessionOptions } from '#ports'
import type { ConsolidationLogger, OpenReplayEngine } from './context.ts'

/** Errors of a worker that does not have the model; another attempt on it does not help. */
const NO_SUCH_MODEL: readonly ErrorCode[] = [
  'MODEL_INVALID',
  'MODEL_UNSUPPORTED',
  'ONNX_INVALID',
  'PROVIDER_UNAVAILABLE',
]

type Replaying = Awaited<ReturnType<OpenReplayEngine>>

export interface ReplayEngineOptions {
  readonly openReplayEngine: OpenReplayEngine
  readonly fingerprint: string
  readonly logger: Pick<ConsolidationLogger, 'warn'>
}

/**
 * Opens the engine to solve on, or returns why this worker has none for the model.
 * @param consequence text of the warning: what follows from a missing engine
 */
export async function openModelEngine(
  { openReplayEngine, fingerprint, logger }: ReplayEngineOptions,
  consequence: string,
): Promise<Replaying | { readonly missing: string }> {
  const missing = (reason: string) => {
    logger.warn({ fingerprint, reason }, consequence)
    return { missing: reason }
  }
  try {
    const replaying = await openReplayEngine()
    const { id, fingerprint: own } = replaying.engine.model
    if (own === fingerprint) return replaying
    await replaying.close()
    return missing(
      `expected a worker with the model ${fingerprint}, got one with ${id}, ${own}: see MODEL_DIR`,
    )
  } catch (thrown) {
    if (!NO_SUCH_MODEL.some((code) => hasCode(thrown, code))) throw thrown
    return missing(`expected a worker with the model, got ${coerceError(thrown).message}`)
  }
}

/** Opens the sessions of an engine at background priority, and waits while the engine is overloaded: nothing is refused. */
export function inBackground(engine: Engine): Engine {
  const open = async (prompt: readonly number[], options: SessionOptions) => {
    for (;;) {
      try {
        return await engine.open(prompt, { ...options, priority: 'background' })
      } catch (error) {
        if (!hasCode(error, 'ENGINE_OVERLOADED')) throw error
        await pause(error as ServiceError, options.signal)
      }
    }
  }
  return { ...engine, open, checkRoom: () => undefined }
}

async function pause({ retryAfterSeconds = 1 }: ServiceError, signal: AbortSignal): Promise<void> {
  try {
    await sleep(retryAfterSeconds * 1000, undefined, { signal })
  } catch (cause) {
    throw new ServiceError('ABORTED', 'replay: expected room in the engine, got an abort', { cause })
  }
}
