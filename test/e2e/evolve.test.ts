/**
 * @file Training and gating of a weaver on the bundled model, with a real engine and a real training process;
 * lazy drafts.
 */

import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { gateWeaver, openWeaver, trainWeaver, type WeaverExample } from '#algorithms'
import { replay } from '#consolidation'
import { createEngine, createTrainer, type Engine, type SolveDefaults } from '#engine'
import { NO_TRAINED_MODELS } from '#serving'
import { createSolver, type Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { createEpisodesInMemory, type EpisodesInMemory } from '../support/episodes-in-memory.ts'
import { placed } from '../support/placed.ts'

const DIRECTORY = join(import.meta.dirname, '../../models/order-of-operations')
const logger = pino({ level: 'warn' })
const { signal } = new AbortController()
const TIMEOUT = { timeout: 120_000 }
let engine: Engine
let day: EpisodesInMemory
const problems = makeProblems({ split: 'train', count: 230, seed: 41 })

beforeAll(async () => {
  engine = await createEngine({ directory: DIRECTORY, executionProvider: 'cpu', cudaDevice: 0, logger })
  day = createEpisodesInMemory()
  const solver = createSolver({ engine, episodes: day, logger })
  await Promise.all(
    problems.map(({ question, answer }, seed) =>
      solver.solve(
        {
          tenantId: 'default',
          question,
          reference: answer,
          seed,
          strategy: 'auto',
          retrieval: false,
          learn: true,
          explain: false,
        },
        { signal },
      ),
    ),
  )
}, 60_000)

afterAll(() => engine.close())

function withDefaults(changes: Partial<SolveDefaults>): Engine {
  const { model } = engine
  const defaults = { ...model.profile.defaults, ...changes }
  return { ...engine, model: { ...model, profile: { ...model.profile, defaults } } }
}

test('a trained weaver passes the gate and runs in the engine process', TIMEOUT, async () => {
  const numbers = new Map(problems.map(({ question }, number) => [question, number]))
  const examples = day.added.flatMap(({ question, embedding, latents }): WeaverExample[] =>
    latents === null ? [] : [{ ...placed(question, numbers.get(question)!), embedding, ...latents }],
  )
  const trainer = await createTrainer({ executionProvider: 'cpu', cudaDevice: 0, logger })
  const training = await trainWeaver(trainer, examples, { seed: 1, signal }, { latents: 2 }).finally(() =>
    trainer.close(),
  )
  if ('skipped' in training) throw new Error(training.skipped)
  const { model, features, heldOut, metrics } = training.trained
  expect(metrics.explained.value).toBeGreaterThan(0.5)

  const weaver = await openWeaver(engine.graphs, model, { version: 'weaver-1', ...features })
  expect(heldOut.length).toBeGreaterThan(20)
  const own = new Set(examples.filter(({ part }) => part !== 'train').map(({ question }) => question))
  const episodes = day.added.filter(({ question }) => own.has(question))
  const judge = async (learned: typeof NO_TRAINED_MODELS, retrieval: boolean) => {
    const results = await replay({ engine, episodes: day, logger }, episodes, {
      learned,
      retrieval,
      signal,
      exclude: episodes.map(({ id }) => id),
    })
    return results.filter((result) => result !== null)
  }
  const candidate = { weaver, rewardModel: null }
  const verdict = gateWeaver({
    candidate: await judge(candidate, false),
    active: await judge(NO_TRAINED_MODELS, false),
    guard: { candidate: await judge(candidate, true), active: await judge(NO_TRAINED_MODELS, true) },
    anchor: null,
  })

  expect(verdict).toMatchObject({ promoted: true, reason: expect.stringMatching(/^firstPass rises/) })
  expect(verdict.metrics['accuracy']!.value).toBeGreaterThanOrEqual(verdict.baseline['accuracy']!.value)
  await weaver.close()
})

test('a lazy draft leads to the same answers as a full one, with fewer tokens', TIMEOUT, async () => {
  const morning = makeProblems({ split: 'train', count: 40, seed: 42 })
  const solveAll = (draft: 'full' | 'lazy') => {
    const solver = createSolver({ engine: withDefaults({ draft }), episodes: day, logger })
    return Promise.all(
      morning.map(({ question }, seed) =>
        solver.solve(
          { tenantId: 'default', question, seed, strategy: 'auto', learn: false, explain: false },
          { signal },
        ),
      ),
    )
  }
  const [full, lazy] = [await solveAll('full'), await solveAll('lazy')]
  const tokens = (solutions: readonly Solution[]) =>
    solutions.reduce((sum, { usage }) => sum + usage.generatedTokens, 0)

  for (const [index, solution] of lazy.entries()) {
    if (solution.base !== null) {
      // Prefill and decode round differently: the rewards differ in their last bits.
      const { answer, reasoning, iterations, stopped } = full[index]!
      expect(solution).toMatchObject({ answer, reasoning, iterations, stopped })
      expect(solution.reward).toBeCloseTo(full[index]!.reward, 4)
    }
    expect(solution.reward).toBeGreaterThan(-1)
  }
  expect(lazy.some(({ base }) => base === null)).toBe(true)
  expect(lazy.some(({ base }) => base !== null)).toBe(true)
  expect(tokens(lazy)).toBeLessThan(0.85 * tokens(full))
})
