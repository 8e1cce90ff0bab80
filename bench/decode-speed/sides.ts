/** @file The sides of the comparison: this engine, onnxruntime-genai and llama.cpp, each in processes of its own. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { createEngine, type PromptCodec } from '#engine'
import { startPython } from '../python-process.ts'

/** Far above the usual limit: a busy machine makes the figures worse, and ends no bench. */
const HEARTBEAT_LIMIT_MS = 120_000

export type Tokens = readonly number[]

interface Decoded {
  /** Seconds until the caches of all prompts are there. */
  readonly prefillSeconds: number
  /** Seconds of one step per new token over all rows, with the choice of the token. */
  readonly decodeSeconds: number
  /** The new tokens of each row, greedy. */
  readonly tokens: readonly Tokens[]
}

export interface Side {
  readonly name: string
  readonly version: string
  /** Process that holds the weights. */
  readonly pid: number
  readonly loadSeconds: number
  /** Decodes exactly `newTokens` tokens for each prompt, all prompts together; the prompts are equally long. */
  decode(prompts: readonly Tokens[], newTokens: number): Promise<Decoded>
  close(): Promise<void>
}

export interface OurSide extends Side {
  readonly codec: PromptCodec
}

export async function startOurs(directory: string, threads: number): Promise<OurSide> {
  const startedAt = performance.now()
  const logger = pino({ level: 'error' })
  const engine = await createEngine({
    directory,
    threads,
    replicas: 1,
    executionProvider: 'cpu',
    cudaDevice: 0,
    heartbeatLimitMs: HEARTBEAT_LIMIT_MS,
    logger,
  })
  const loadSeconds = secondsSince(startedAt)
  const { version } = JSON.parse(await readFile(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    readonly version: string
  }
  return {
    name: 'ours',
    version,
    pid: engine.status().pid ?? 0,
    loadSeconds,
    codec: engine.codec,
    async decode(prompts, newTokens) {
      const { signal } = new AbortController()
      const sessions = await Promise.all(prompts.map((prompt) => engine.open(prompt, { signal })))
      try {
        const beganAt = performance.now()
        await Promise.all(sessions.map((session) => session.embed()))
        const prefillSeconds = secondsSince(beganAt)
        const fedAt = performance.now()
        const row = { prefix: [], temperature: 0, seed: 0, maxNewTokens: newTokens, latents: 0 }
        const continuations = await Promise.all(sessions.map((session) => session.generate([row])))
        return {
          prefillSeconds,
          decodeSeconds: secondsSince(fedAt),
          tokens: continuations.map(([continuation]) => continuation!.tokens),
        }
      } finally {
        for (const session of sessions) session.close()
      }
    },
    close: () => engine.close(),
  }
}

/** @returns null when `python` lacks onnxruntime-genai */
export function startGenai(python: string, folder: string, threads: number): Promise<Side | null> {
  return startPeer('onnxruntime-genai', python, ['genai_peer.py', folder, String(threads)], threads)
}

/**
 * @param capacity rows at once, and tokens of a row
 * @returns null when `python` lacks llama-cpp-python
 */
export function startLlama(
  python: string,
  file: string,
  threads: number,
  capacity: { readonly rows: number; readonly tokens: number },
): Promise<Side | null> {
  const sizes = [threads, capacity.rows, capacity.tokens].map(String)
  return startPeer('llama.cpp', python, ['llama_cpp_peer.py', file, ...sizes], threads)
}

async function startPeer(
  name: string,
  python: string,
  [script, ...rest]: readonly [string, ...string[]],
  threads: number,
): Promise<Side | null> {
  const args = [join(import.meta.dirname, script), ...rest]
  const peer = await startPython(python, args, { OMP_NUM_THREADS: String(threads) })
  if (peer === null) return null
  return {
    name,
    version: peer.hello.version,
    pid: peer.pid,
    loadSeconds: peer.hello.loadSeconds,
    decode: (prompts, newTokens) => peer.ask({ prompts, newTokens }),
    close: peer.close,
  }
}

function secondsSince(at: number): number {
  return (performance.now() - at) / 1000
}
