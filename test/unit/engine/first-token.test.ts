/** @file The first token of a request comes from the run that feeds its prompt, and soon beside long answers. */

import { expect, suite, test } from 'vitest'
import type { GenerationRow } from '#ports'
import {
  type RunRecord,
  type TinySessions,
  type TinySessionsOptions,
  tinySessions,
} from '../../support/tiny-sessions.ts'

/** Samples so hot that rows live for about 60 tokens. */
const row = (seed: number, change: Partial<GenerationRow> & { stream?: number } = {}) => ({
  prefix: [],
  temperature: 5,
  seed,
  maxNewTokens: 100,
  latents: 0,
  ...change,
})
const prompt = (length: number) => Array.from({ length }, (_, index) => 6 + ((length + index * 5) % 50))
const LONG = 16

/** Opens sessions of long answers, and waits until all of them decode. */
async function besideLongAnswers(engine: TinySessions): Promise<Promise<unknown>[]> {
  const answers = Array.from({ length: LONG }, (_, index) => {
    engine.sessions.open(1000 + index, prompt(6))
    return engine.sessions.generate(1000 + index, [row(index)])
  })
  while (engine.scheduler.load().waitingRows > 0 || engine.runs.length === 0) await new Promise(setImmediate)
  await untilChunk(engine)
  return answers
}

/** Whether a run decodes most of the long answers. */
const isChunk = ({ rows, inputLength }: RunRecord) => rows > LONG / 2 && inputLength === 1

/** Waits until such a run has begun. */
async function untilChunk({ runs }: TinySessions): Promise<void> {
  const before = runs.length
  while (!runs.slice(before).some(isChunk)) await new Promise(setImmediate)
}

suite('the first token of a short request beside long answers', () => {
  test('comes from the first run after the one in progress, which feeds its prompt', async () => {
    const engine = await tinySessions({ limits: { chunkTokens: [2, 2] } })
    const answers = await besideLongAnswers(engine)
    for (let index = 0; index < 5; index++) {
      await untilChunk(engine)
      const before = engine.runs.length
      engine.sessions.open(index, prompt(9))
      await engine.sessions.generate(index, [row(index, { maxNewTokens: 1 })])
      expect(engine.runs.slice(before)).toMatchObject([{ rows: 1, inputLength: 9, steps: 1 }])
      engine.sessions.close(index)
    }
    for (let index = 0; index < LONG; index++) engine.sessions.close(1000 + index)
    await Promise.allSettled(answers)
  })

  test('waits for one chunk when many others came before it', async () => {
    const engine = await tinySessions({ limits: { chunkTokens: [2, 2], maxInputTokens: 16 } })
    const answers = await besideLongAnswers(engine)
    const before = engine.runs.length
    const order: number[] = []
    // One prompt fills a run, so they are fed one by one.
    const asked = Array.from({ length: 4 }, async (_, index) => {
      engine.sessions.open(index, prompt(16))
      await engine.sessions.generate(index, [row(index, { maxNewTokens: 1 })])
      order.push(index)
    })
    await Promise.all(asked)
    expect(order).toEqual([0, 1, 2, 3])
    expect(engine.runs.slice(before).map(isChunk)).toEqual([false, false, false, true, false])
    for (let index = 0; index < LONG; index++) engine.sessions.close(1000 + index)
    await Promise.allSettled(answers)
  })
})

test('the next call of a request is awaited for a moment before a chunk of long answers', async () => {
  const engine = await tinySessions({ limits: { chunkTokens: [2, 2], lingerMs: 10_000 } })
  const answers = await besideLongAnswers(engine)
  const before = engine.runs.length
  engine.sessions.open(1, prompt(9))
  await engine.sessions.embed(1)
  // The way of two messages between processes.
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  await engine.sessions.generate(1, [row(1, { maxNewTokens: 1 })])
  expect(engine.runs.slice(before).map(({ rows }) => rows)).toEqual([1, 1])
  for (let index = 0; index < LONG; index++) engine.sessions.close(1000 + index)
  await Promise.allSettled(answers)
})

suite('a prompt that is fed by a row which decodes', () => {
  const wanted = { latents: 4, thought: true, signals: true }

  test.each<[string, TinySessionsOptions]>([
    ['plain attention', {}],
    ['fused attention', { decoder: { fused: true, width: 32 } }],
    ['a prompt of several runs', { limits: { maxInputTokens: 4 } }],
    ['a prompt of one token', { limits: { maxInputTokens: 1 } }],
    ['a prompt that begins like another', { prefixes: { minTokens: 2, maxPrompts: 4 } }],
    ['shared caches', { limits: { minSharedBytes: 0 } }],
  ])('gives the same answer and the same verdicts as one that was fed before: %s', async (_, options) => {
    const tokens = prompt(11)
    const results = []
    for (const isFedBefore of [true, false]) {
      const engine = await tinySessions(options)
      engine.sessions.open(1, tokens.slice(0, 5))
      await engine.sessions.embed(1)
      engine.sessions.open(2, tokens)
      if (isFedBefore) await engine.sessions.embed(2)
      const [answer] = await engine.sessions.generate(2, [row(3, { ...wanted, maxNewTokens: 20 })])
      const [verdict] = await engine.sessions.score(
        2,
        [{ sequence: answer!.sequence, suffix: [6, 7] }],
        [8, 9],
      )
      const state = await engine.sessions.embed(2)
      const { prefillTokens } = engine.scheduler.totals()
      const [other] = await engine.sessions.generate(2, [row(4, { prefix: [8, 9] })])
      results.push({ answer: answer!, verdict: verdict!, state, prefillTokens, other: other! })
    }
    const [before, after] = results as [(typeof results)[0], (typeof results)[0]]
    expect(after.answer.tokens).toEqual(before.answer.tokens)
    expect(after.answer.finish).toBe(before.answer.finish)
    expect(after.answer.reusedPromptTokens).toBe(before.answer.reusedPromptTokens)
    expect(after.other.tokens).toEqual(before.other.tokens)
    // The prompt is fed once.
    expect(after.prefillTokens).toBe(before.prefillTokens)
    const numbersOf = ({ answer, verdict, state }: typeof before) => [
      ...answer.latents.data,
      ...answer.thought!.data,
      ...answer.signals!.logProbabilities,
      ...verdict,
      ...state,
    ]
    const expected = numbersOf(before)
    for (const [index, number] of numbersOf(after).entries()) expect(number).toBeCloseTo(expected[index]!, 4)
  })

  test('is fed once, also for a call that comes meanwhile', async () => {
    const engine = await tinySessions({ limits: { maxInputTokens: 4 } })
    engine.sessions.open(1, prompt(9))
    const [state, answers] = await Promise.all([
      engine.sessions.generate(1, [row(1, { maxNewTokens: 1 })]).then(() => engine.sessions.embed(1)),
      Promise.all([engine.sessions.embed(1), engine.sessions.generate(1, [row(2, { maxNewTokens: 1 })])]),
    ])
    expect(state).toEqual(answers[0])
    expect(engine.scheduler.totals().prefillTokens).toBe(9)
    // Three pieces of the prompt, the last with the first token of one row; then that of the other.
    expect(engine.runs.map(({ inputLength }) => inputLength)).toEqual([4, 4, 1, 1])
  })

  test('is fed by another call when the row is ended before', async () => {
    const expected = await tinySessions()
    expected.sessions.open(1, prompt(9))
    const state = await expected.sessions.embed(1)

    const engine = await tinySessions({ limits: { maxInputTokens: 4 } })
    engine.sessions.open(1, prompt(9))
    const generating = engine.sessions.generate(1, [row(1, { stream: 5 })])
    const embedding = engine.sessions.embed(1)
    while (engine.runs.length === 0) await new Promise(setImmediate)
    engine.sessions.endRow(1, 5)
    expect(await generating).toMatchObject([{ tokens: [], finish: 'aborted' }])
    for (const [index, value] of (await embedding).entries()) expect(value).toBeCloseTo(state[index]!, 4)
  })

  test('is fed by another call when there is no memory for the row', async () => {
    const position = 4 * (2 * 2 * 2 * 8 * 4)
    const engine = await tinySessions({ memoryBytes: 20 * position })
    engine.sessions.open(1, prompt(9))
    const generating = engine.sessions.generate(1, [row(1)])
    const embedding = engine.sessions.embed(1)
    await expect(generating).rejects.toMatchObject({ code: 'MEMORY_EXCEEDED' })
    expect(await embedding).toHaveLength(16)
  })
})
