/** @file A request that kills its engine process: it is refused, and those beside it are answered. */

import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { expect, onTestFinished, suite, test, vi } from 'vitest'
import { createEngine } from '#engine'
import { createSolver, type SolveRequest } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'

const POISONED = fileURLToPath(new URL('../../support/poisoned-engine.ts', import.meta.url))
vi.mock('node:child_process', async (load) => {
  const original = await load<typeof import('node:child_process')>()
  const fork = (_program: string, args: string[], options: object) => original.fork(POISONED, args, options)
  return { ...original, fork }
})

const directory = fileURLToPath(new URL('../../../models/order-of-operations', import.meta.url))
const problems = makeProblems({ split: 'heldout', count: 40, seed: 51 })
const REQUEST = {
  tenantId: 'default',
  strategy: 'majority',
  samples: 6,
  learn: false,
  explain: false,
} as const
const signal = new AbortController().signal

/** Starts an engine that dies of one of the problems. */
async function start(replicas: number) {
  const lines: string[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) })
  const engine = await createEngine({ directory, executionProvider: 'cpu', cudaDevice: 0, replicas, logger })
  onTestFinished(() => engine.close())
  const solver = createSolver({ engine, episodes: null, logger })
  const solve = (question: string, change: Partial<SolveRequest> = {}) =>
    solver.solve({ ...REQUEST, question, seed: 3, ...change }, { signal })
  return { engine, solve, lines }
}

/** A problem with a word of its own, five others without it, and the token of the word. */
async function poisonOf(): Promise<{ poison: string; innocent: readonly string[]; token: number }> {
  const { engine } = await start(1)
  const tokens = problems.map(({ question }) => engine.codec.encode(question))
  await engine.close()
  for (const [index, own] of tokens.entries()) {
    const token = own.find((each) => tokens.filter((other) => other.includes(each)).length <= 30)
    if (token === undefined) continue
    const others = problems.filter((_, other) => !tokens[other]!.includes(token))
    return {
      poison: problems[index]!.question,
      innocent: others.slice(0, 5).map(({ question }) => question),
      token,
    }
  }
  throw new Error('expected a problem with a word that others lack, got none')
}

suite('a request that kills its engine process', () => {
  test.each([1, 2])('is refused; 5 others beside it are answered, with %d replicas', async (replicas) => {
    const { poison, innocent, token } = await poisonOf()
    const calm = await start(1)
    const expected = await Promise.all(innocent.map((question) => calm.solve(question)))
    await calm.engine.close()

    vi.stubEnv('POISON_TOKEN', String(token))
    onTestFinished(() => void vi.unstubAllEnvs())
    const { engine, solve, lines } = await start(replicas)
    const [refused, ...answers] = await Promise.allSettled([
      solve(poison),
      ...innocent.map((question) => solve(question)),
    ])
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_CRASHED_BY_REQUEST' } })
    expect(answers.map((outcome) => outcome.status === 'fulfilled' && outcome.value.answer)).toEqual(
      expected.map(({ answer }) => answer),
    )
    await vi.waitFor(() => expect(engine.status().restarts).toBe(2), { timeout: 10_000 })
    expect(lines.filter((line) => line.startsWith('engine process died'))).toHaveLength(2)
    expect(lines).toContain('engine crashed each time it ran a request: the request is refused')
    expect(engine.status()).toMatchObject({ sessions: 0, waitingRows: 0, waitingSessions: 0 })
    // The refusal left nothing behind.
    expect((await solve(innocent[0]!)).answer).toBe(expected[0]!.answer)
  })
})
