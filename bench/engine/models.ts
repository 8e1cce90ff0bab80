/** @file The two models of the engine's benches, with questions for them. */

import { cpus } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { createEngine, type Engine } from '#engine'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { largerDecoder, largerPrompts } from './larger-decoder.ts'

export interface BenchModel {
  readonly name: string
  readonly directory: string
  /** Threads inside one operator, on both sides of every comparison: the engine's own choice. */
  readonly threads: number
  /** Upper bound on the tokens of an answer where answers are only generated. */
  readonly maxNewTokens: number
  /** Number of 16 prompts that suffices to time one request at a time. */
  readonly alone: number
  questions(count: number): string[]
}

export function bundledModel(): BenchModel {
  return {
    name: 'bundled model (0.8M)',
    directory: join(import.meta.dirname, '../../models/order-of-operations'),
    threads: 1,
    maxNewTokens: 48,
    alone: 16,
    questions: (count) => makeProblems({ split: 'heldout', count, seed: 41 }).map(({ question }) => question),
  }
}

export async function largerModel(weights: 'fp32' | 'int4' = 'fp32'): Promise<BenchModel> {
  return {
    name: `larger decoder (61M, ${weights})`,
    directory: await largerDecoder(weights),
    threads: cpus().length,
    maxNewTokens: 48,
    alone: 3,
    questions: (count) => largerPrompts(count, 32),
  }
}

/** Starts the engine as the service does, on the CPU. */
export function startEngine({ directory, threads }: BenchModel, replicas = 1): Promise<Engine> {
  return createEngine({
    directory,
    threads,
    replicas,
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger: pino({ level: 'warn' }),
  })
}

/** Prompt tokens of a question, as the solver builds them. */
export function promptOf({ codec, model }: Pick<Engine, 'codec' | 'model'>, question: string): number[] {
  const { solver } = model.profile
  const user = { role: 'user', content: solver.template.replace('{question}', () => question) } as const
  return codec.encodeChat(solver.system === '' ? [user] : [{ role: 'system', content: solver.system }, user])
}

/** Greedy answer in a session of its own. */
export async function generateOnce(
  engine: Engine,
  prompt: readonly number[],
  maxNewTokens: number,
): Promise<readonly number[]> {
  const session = await engine.open(prompt, { signal: new AbortController().signal })
  try {
    const rows = [{ prefix: [], temperature: 0, seed: 0, maxNewTokens, latents: 0 }]
    const [continuation] = await session.generate(rows)
    return continuation?.tokens ?? []
  } finally {
    session.close()
  }
}
