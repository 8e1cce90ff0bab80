/** @file A depth-recurrent model in its engine process: every strategy, thinking of a request, latent thoughts. */

import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import { createEngine, type Engine } from '#engine'
import type { GenerationRow, LatentRewardModel, LatentThought } from '#ports'
import { createSolver, type SolveRequest, type Solver } from '#solving'
import {
  TINY_RECURRENCE,
  type TinyModelDirectory,
  tinyRecurrentDirectory,
} from '../fixtures/tiny-model-directory.ts'
import { memorySolutions, testApp } from '../support/http-app.ts'

const { steps, maxSteps: R } = TINY_RECURRENCE
const REQUEST = {
  tenantId: 'default',
  question: 'w1 w2 w3',
  learn: false,
  explain: true,
  seed: 3,
  samples: 5,
} as const
const logger = pino({ level: 'silent' })

let directory: TinyModelDirectory
let engine: Engine
let solver: Solver
/** Thoughts that the reward model has scored. */
const scored: LatentThought[] = []
const rewardModel: LatentRewardModel = {
  version: '1',
  async score(thoughts) {
    scored.push(...thoughts)
    return thoughts.map(({ data }) => 1 / (1 + Math.exp(-data[0]!)))
  },
}

beforeAll(async () => {
  directory = await tinyRecurrentDirectory()
  engine = await createEngine({ directory: directory.path, executionProvider: 'cpu', cudaDevice: 0, logger })
  solver = createSolver({
    engine,
    episodes: null,
    logger,
    activeModels: () => ({ weaver: identityWeaver, rewardModel }),
  })
})

afterAll(async () => {
  await engine.close()
  await directory[Symbol.asyncDispose]()
})

const solve = (request: Partial<SolveRequest>) =>
  solver.solve({ strategy: 'greedy', ...REQUEST, ...request }, { signal: new AbortController().signal })

test('greedy takes the recurrences that are asked for, and counts them', async () => {
  const usual = await solve({})
  expect(usual.usage.recurrences).toBe(steps * usual.usage.generatedTokens)
  const texts = new Set<string>()
  for (const own of [1, 2, R]) {
    const { usage, text } = await solve({ thinking: { steps: own } })
    expect(usage.recurrences).toBe(own * usage.generatedTokens)
    texts.add(text)
  }
  expect(texts.size).toBeGreaterThan(1)
  const again = await solve({ seed: 4 })
  expect(again.text).toBe(usual.text)
})

test('adaptive thinking takes fewer recurrences than the profile sets', async () => {
  const { usage } = await solve({ thinking: 'adaptive' })
  expect(usage.recurrences).toBeLessThan(steps * usage.generatedTokens)
  expect(usage.recurrences).toBeGreaterThanOrEqual(usage.generatedTokens)
})

test('samples differ by their noise, at a temperature that leaves one token, and the same seed repeats them', async () => {
  const cold = { strategy: 'lto', sampling: { temperature: 0.01 } } as const
  const sample = async (seed: number) => (await solve({ ...cold, seed })).candidates!
  const [first, again, other] = [await sample(3), await sample(3), await sample(4)]
  expect(first).toHaveLength(5)
  expect(first).toEqual(again)
  expect(first).not.toEqual(other)
  expect(new Set(first.map(({ logProbability }) => logProbability)).size).toBe(5)
})

test('the reward model reads the states over the recurrences, in all strategies that ask it', async () => {
  for (const asked of [
    { strategy: 'lto' },
    { strategy: 'majority', weights: 'lrm' },
    { strategy: 'best-of-n', selector: 'lrm' },
  ] as const) {
    scored.length = 0
    const { degraded, confidence } = await solve(asked)
    expect(degraded).toEqual([])
    expect(confidence).toBeGreaterThan(0)
    expect(scored.length).toBeGreaterThanOrEqual(5)
    for (const { layers, width, data } of scored) {
      expect([layers, width]).toEqual([R, 16])
      // After the last recurrence of the request the state is repeated.
      const state = (index: number) => data.slice(index * 16, (index + 1) * 16)
      for (let index = steps; index < R; index++) expect(state(index)).toEqual(state(steps - 1))
      expect(state(steps - 2)).not.toEqual(state(steps - 1))
    }
  }
})

test.each(['latentseek', 'fork', 'auto', 'majority', 'best-of-n'] as const)('%s works', async (strategy) => {
  const { text, usage, degraded } = await solve({ strategy })
  expect(text).not.toBe('')
  expect(usage.recurrences).toBe(steps * usage.generatedTokens)
  expect(degraded.filter((part) => part !== 'judge' && part !== 'retrieval')).toEqual([])
})

test('a sample that a stop sequence cuts is read with its own noise', async () => {
  const rows: GenerationRow[] = []
  const watched: Engine = {
    ...engine,
    async open(...options) {
      const session = await engine.open(...options)
      return {
        ...session,
        async generate(asked) {
          rows.push(...asked)
          return await session.generate(asked)
        },
      }
    },
  }
  const { solve: solveWatched } = createSolver({ engine: watched, episodes: null, logger })
  const request = { ...REQUEST, strategy: 'lto' } as const
  const options = { signal: new AbortController().signal }
  const { text } = await solveWatched(request, options)
  const samples = rows.splice(0).filter(({ maxNewTokens }) => maxNewTokens > 0)
  await solveWatched({ ...request, stop: [text.trim().split(' ')[1]!] }, options)
  const cut = rows.filter(({ maxNewTokens }) => maxNewTokens === 0)
  expect(cut.length).toBeGreaterThan(0)
  const noises = samples.map(({ noise }) => noise)
  for (const { noise } of cut) expect(noises).toContain(noise)
})

test('the service refuses thinking that the model cannot do, with the range, under every name of it', async () => {
  const { solutions, added } = memorySolutions()
  const app = testApp({ solver, solutions })
  const post = async (url: string, payload: object) =>
    (await app.inject({ method: 'POST', url, payload })).json()
  const question = 'w1 w2 w3'
  const own = { steps: R + 1 }
  expect(await post('/solve', { question, thinking: own })).toMatchObject({
    status: 400,
    code: 'REQUEST_INVALID',
    errors: [{ pointer: '/thinking/steps', detail: `expected 1 to ${R} recurrences, got ${R + 1}` }],
  })
  const asynchronous = await app.inject({
    method: 'POST',
    url: '/solve',
    payload: { question, thinking: own },
    headers: { prefer: 'respond-async' },
  })
  expect(asynchronous.json()).toMatchObject({ status: 400, errors: [{ pointer: '/thinking/steps' }] })
  expect(added).toEqual([])
  expect(await post('/solve', { question, thinking: { steps: 0 } })).toMatchObject({ status: 400 })
  expect(await post('/solve', { question, thinking: 'long' })).toMatchObject({ status: 400 })
  const messages = [{ role: 'user', content: question }]
  const refused = await post('/v1/chat/completions', {
    model: 'circadian/greedy',
    messages,
    circadian: { thinking: own },
  })
  expect(refused).toMatchObject({ error: { param: 'circadian.thinking.steps' } })
  const answered = await post('/solve', {
    question,
    strategy: 'greedy',
    thinking: { steps: 2 },
    learn: false,
  })
  expect(answered.usage.recurrences).toBe(2 * answered.usage.generatedTokens)
  await app.close()
})
