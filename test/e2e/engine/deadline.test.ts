/** @file A request whose time is up gets what the engine process has decoded until then. */

import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, suite, test, vi } from 'vitest'
import { createEngine, type Engine } from '#engine'
import type { GenerationRow } from '#ports'
import { createSolver, type SolveRequest } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'

const logger = pino({ level: 'silent' })
const never = () => new AbortController().signal
const hasDecoded = (engine: Engine) =>
  vi.waitFor(() => expect(engine.status().totals.decodeTokens).toBeGreaterThan(0), {
    timeout: 5000,
    interval: 1,
  })

suite('a session of a model of many steps', () => {
  /** More rows than a run has places, of many tokens. */
  const rows: GenerationRow[] = Array.from({ length: 120 }, (_, seed) => ({
    prefix: [],
    temperature: 3,
    seed,
    maxNewTokens: 80,
    latents: 2,
  }))

  async function start() {
    const model = await tinyModelDirectory({ width: 64, heads: 4, layers: 4 })
    onTestFinished(() => model[Symbol.asyncDispose]())
    const engine = await createEngine({
      directory: model.path,
      executionProvider: 'cpu',
      cudaDevice: 0,
      logger,
    })
    onTestFinished(() => engine.close())
    return engine
  }

  test('returns whole rows, the parts of the others, and nothing of those that waited', async () => {
    const engine = await start()
    const stop = new AbortController()
    const session = await engine.open([1, 4, 10, 11, 5], { signal: never(), stopSignal: stop.signal })
    const generating = session.generate(rows)
    await hasDecoded(engine)
    const scoring = session.score([{ sequence: session.prompt, suffix: [6] }], [7])
    stop.abort()
    await expect(scoring).rejects.toMatchObject({ code: 'ABORTED' })
    const answers = await generating
    expect(answers).toHaveLength(120)
    const waiting = answers.filter(({ generatedTokens }) => generatedTokens === 0)
    expect(waiting.length).toBeGreaterThan(0)
    expect(answers.length - waiting.length).toBeGreaterThan(0)
    for (const { tokens, latents, finish, generatedTokens } of answers) {
      expect(tokens).toHaveLength(generatedTokens)
      expect(latents.length).toBe(Math.min(2, generatedTokens))
      if (generatedTokens === 0) expect(finish).toBe('aborted')
    }
    await expect(session.embed()).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(session.generate(rows)).rejects.toMatchObject({ code: 'ABORTED' })
    session.close()
    expect(engine.status()).toMatchObject({ sessions: 0, waitingRows: 0 })
    await expect(engine.open([1, 4], { signal: never(), stopSignal: stop.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  test('does not wait for a call of the head that a run in progress holds up', async () => {
    const engine = await start()
    const { pid } = engine.status()
    onTestFinished(() => void process.kill(pid!, 'SIGCONT'))
    process.kill(pid!, 'SIGSTOP')
    const stop = new AbortController()
    const latents = { data: new Float32Array(2 * 64), length: 2, width: 64 }
    const reading = engine.head.decode(latents, stop.signal)
    const moving = engine.head.ascend(
      {
        ...{ latents, lr: 0.1, temperature: 1, actions: [[1, 2]], advantages: [1] },
        ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxSteps: 4, untilChanged: false },
        adam: { m: new Float32Array(2 * 64), v: new Float32Array(2 * 64), step: 0 },
      },
      stop.signal,
    )
    const startedAt = performance.now()
    stop.abort()
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(moving).rejects.toMatchObject({ code: 'ABORTED' })
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })

  test('is not held by a process that does not answer', async () => {
    const engine = await start()
    const stop = new AbortController()
    const session = await engine.open([1, 4, 10, 11, 5], { signal: never(), stopSignal: stop.signal })
    // A first run is announced with a long duration, which would be waited for.
    await session.generate(rows.slice(0, 40))
    const { pid } = engine.status()
    onTestFinished(() => void process.kill(pid!, 'SIGCONT'))
    process.kill(pid!, 'SIGSTOP')
    const generating = session.generate(rows)
    const startedAt = performance.now()
    stop.abort()
    await expect(generating).rejects.toMatchObject({ code: 'ABORTED' })
    const ms = performance.now() - startedAt
    expect(ms).toBeGreaterThan(900)
    expect(ms).toBeLessThan(8000)
    session.close()
  })
})

suite('the bundled model', () => {
  const directory = fileURLToPath(new URL('../../../models/order-of-operations', import.meta.url))
  const [problem] = makeProblems({ split: 'heldout', count: 1, seed: 17 })
  let engine: Engine
  beforeAll(async () => {
    engine = await createEngine({ directory, executionProvider: 'cpu', cudaDevice: 0, logger })
  })
  afterAll(() => engine.close())

  test.each(['greedy', 'auto', 'majority', 'lto'] as const)(
    'answers %s with what is decoded when the time is up',
    async (strategy) => {
      const episodes = createEpisodesInMemory()
      const solver = createSolver({ engine, episodes, logger })
      const request: SolveRequest = {
        tenantId: 'default',
        question: problem!.question,
        strategy,
        samples: 64,
        learn: true,
        explain: true,
        seed: 5,
      }
      // The shortest of these times after which a first run is over depends on the machine.
      for (let maxMs = 1; maxMs < 1000; maxMs += 1) {
        const solution = await solver.solve({ ...request, budget: { maxMs } }, { signal: never() })
        expect(solution.stopped).toBe('maxMs')
        if (solution.usage.generatedTokens === 0) {
          expect(solution).toMatchObject({ answer: null, reasoning: '' })
          continue
        }
        expect(solution.reasoning).not.toBe('')
        expect(solution.usage.completionTokens).toBeGreaterThan(0)
        if (solution.candidates!.length === 0) expect(solution.reward).toBe(-1)
        expect(episodes.added.at(-1)).toMatchObject({
          id: solution.episodeId,
          answer: solution.answer,
          generatedTokens: solution.usage.generatedTokens,
        })
        return
      }
      throw new Error('expected tokens within a second, got none')
    },
  )
})
