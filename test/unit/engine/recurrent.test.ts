/** @file Depth-recurrent models: their directory, and their rows in the engine process. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModelDirectory, resolveThinking } from '#engine'
import type { ServiceError } from '#errors'
import { createRandom } from '#tensor'
import { bytesPerPosition } from '../../../src/engine/child/key-values.ts'
import { type LoadedGraphs, loadGraphs } from '../../../src/engine/child/load-graphs.ts'
import { createMemoryBudget } from '../../../src/engine/child/memory-budget.ts'
import { createScheduler } from '../../../src/engine/child/scheduler.ts'
import { createSessions, type Sessions } from '../../../src/engine/child/sessions.ts'
import type { WireRow } from '../../../src/engine/protocol.ts'
import {
  TINY_CONTEXT,
  TINY_RECURRENCE,
  type TinyModelDirectory,
  tinyModelDirectory,
  tinyModelFiles,
  tinyRecurrentDirectory,
} from '../../fixtures/tiny-model-directory.ts'
import { ON_CPU } from '../../support/on-cpu.ts'
import { type FedToken, recurrentByParts } from '../../support/recurrent-by-parts.ts'

const PARTS = ['prelude', 'core', 'coda']
const D = 16
const PROMPT = [1, 4, 12, 33, 27, 5]
const ROW: WireRow = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 8, latents: 2, thought: true }
const { maxSteps: R, stateSigma, tolerance } = TINY_RECURRENCE

let directory: TinyModelDirectory
let graphs: LoadedGraphs

beforeAll(async () => {
  directory = await tinyRecurrentDirectory()
  const { graphFile, config, sizes, info } = await loadModelDirectory(directory.path)
  const { recurrence = null } = info.profile
  graphs = await loadGraphs(
    { graphFile, config, sizes: { ...sizes, eosTokenIds: [] }, recurrence, ...ON_CPU },
    'cpu',
  )
})

afterAll(async () => {
  await directory[Symbol.asyncDispose]()
})

function start({ maxInputTokens = 64, bytes = Number.POSITIVE_INFINITY } = {}): Sessions {
  const { generation, head } = graphs
  const scheduler = createScheduler({
    runner: generation,
    eosTokenIds: [],
    limits: { maxRunningRows: 32, chunkTokens: [3, 3], runMs: 0, maxInputTokens },
    memory: createMemoryBudget({ bytes, positionBytes: bytesPerPosition(generation.layout) }),
  })
  return createSessions({
    scheduler,
    layout: generation.layout,
    hiddenSize: D,
    thoughtLayers: generation.thoughtLayers,
    contextLength: TINY_CONTEXT,
    eosTokenIds: [],
    cacheBytes: 2 ** 30,
    prefixes: { minTokens: 2, maxPrompts: 8 },
    headLogits: (states, tokens) => head.logits(states, tokens),
  })
}

let sessionsOpened = 0
async function generate(
  sessions: Sessions,
  rows: readonly Partial<WireRow>[],
  { steps = 4, isAdaptive = false, prompt = PROMPT } = {},
) {
  const id = ++sessionsOpened
  const thinking = { steps, tolerance: isAdaptive ? tolerance : null }
  sessions.open(id, prompt, { priority: 'interactive', deadlineMs: null, thinking })
  return await sessions.generate(
    id,
    rows.map((row) => ({ ...ROW, ...row })),
  )
}

function noiseOf(seed: number, position: number): Float32Array {
  const random = createRandom(seed, 1 + position)
  return Float32Array.from({ length: D }, () => random.gaussian() * stateSigma)
}

/** The tokens of a row by the three exports. */
async function expected(seed: number, steps: number, stopsAt = -1) {
  const files = await Promise.all(PARTS.map((part) => readFile(join(directory.path, `onnx/${part}.onnx`))))
  const reference = await recurrentByParts(files, { maxSteps: R })
  const fed = (position: number): Omit<FedToken, 'token'> => ({ noise: noiseOf(seed, position), steps })
  const isLast = (i: number) => i === PROMPT.length - 1
  return await reference.decode(
    PROMPT.map((token, i) => ({ token, ...fed(i), tolerance: isLast(i) ? stopsAt : -1 })),
    Array.from({ length: ROW.maxNewTokens - 1 }, (_, i) => ({
      ...fed(PROMPT.length + i),
      tolerance: stopsAt,
    })),
  )
}

describe('a model directory', () => {
  test('of three graphs is described, with the recurrence in its fingerprint', async () => {
    const { description, info, weightFiles } = await loadModelDirectory(directory.path)
    expect(description).toMatchObject({ layers: 4, recurrence: { maxSteps: R, coreLayers: [1, 3] } })
    expect(info.profile.recurrence).toEqual(TINY_RECURRENCE)
    expect(weightFiles.map((file) => file.slice(-9))).toEqual(
      ['core.onnx', 'coda.onnx'].map((name) => name.slice(-9)),
    )
    await using other = await tinyRecurrentDirectory()
    await other.write('circadian.json', {
      ...profileOf(),
      recurrence: { ...TINY_RECURRENCE, stateSigma: 0.5 },
    })
    expect((await loadModelDirectory(other.path)).info.fingerprint).not.toBe(info.fingerprint)
  })

  const profileOf = () => tinyModelFiles()['circadian.json'] as object

  test.each([
    [
      'no recurrence in its profile',
      { 'circadian.json': profileOf() },
      /expected 'recurrence' in circadian.json for/,
    ],
    ['no profile', { 'circadian.json': null }, /expected 'recurrence' in circadian.json for/],
    ['no core', { 'onnx/core.onnx': null }, /expected core.onnx beside .*prelude.onnx, got none/],
    [
      'a coda alone',
      { 'onnx/prelude.onnx': null, 'onnx/core.onnx': null },
      /expected prelude.onnx beside coda.onnx/,
    ],
    [
      'more steps than it has',
      { 'circadian.json': { ...profileOf(), recurrence: { ...TINY_RECURRENCE, steps: 7 } } },
      /recurrence.steps must be at most maxSteps, 6/,
    ],
    [
      'a limit of 0',
      { 'circadian.json': { ...profileOf(), recurrence: { ...TINY_RECURRENCE, maxSteps: 0 } } },
      /recurrence.maxSteps must be >= 1/,
    ],
    [
      'noise beyond half precision',
      { 'circadian.json': { ...profileOf(), recurrence: { ...TINY_RECURRENCE, stateSigma: 1001 } } },
      /recurrence.stateSigma must be <= 1000/,
    ],
    [
      'noise without a bound',
      {
        'circadian.json': JSON.stringify({
          ...profileOf(),
          recurrence: { ...TINY_RECURRENCE, stateSigma: 1000 },
        }).replace('"stateSigma":1000', '"stateSigma":1e999'),
      },
      /recurrence.stateSigma must be number/,
    ],
  ])('with %s is refused', async (_, files, message) => {
    await using model = await tinyRecurrentDirectory()
    for (const [name, content] of Object.entries(files)) await model.write(name, content)
    await expect(loadModelDirectory(model.path)).rejects.toThrow(message)
  })

  test('of an ordinary decoder with a recurrence is refused', async () => {
    await using model = await tinyModelDirectory()
    await model.write('circadian.json', { ...profileOf(), recurrence: TINY_RECURRENCE })
    await expect(loadModelDirectory(model.path)).rejects.toThrow(
      /expected depth-recurrent graphs .* for 'recurrence' in circadian.json, got an ordinary decoder/,
    )
  })
})

describe('thinking of a request', () => {
  test('is that of the profile, or the own number of steps', () => {
    expect(resolveThinking(TINY_RECURRENCE)).toEqual({ steps: 4, tolerance: null })
    expect(resolveThinking(TINY_RECURRENCE, { steps: 6 })).toEqual({ steps: 6, tolerance: null })
    expect(resolveThinking(TINY_RECURRENCE, { adaptive: true })).toEqual({ steps: 4, tolerance })
    expect(resolveThinking(undefined)).toBeNull()
  })

  test.each([
    ['0 steps', TINY_RECURRENCE, { steps: 0 }, '/thinking/steps', /expected 1 to 6 recurrences, got 0/],
    [
      'more than the limit',
      TINY_RECURRENCE,
      { steps: 7 },
      '/thinking/steps',
      /expected 1 to 6 recurrences, got 7/,
    ],
    ['steps of an ordinary decoder', undefined, { steps: 1 }, '/thinking', /ordinary decoder/],
    ['adaptive of an ordinary decoder', undefined, { adaptive: true }, '/thinking', /ordinary decoder/],
    [
      'adaptive without a tolerance',
      { steps: 1, maxSteps: 1, stateSigma: 0 },
      { adaptive: true },
      '/thinking',
      /no 'tolerance'/,
    ],
  ])('is refused: %s', (_, profile, thinking, pointer, message) => {
    let thrown: ServiceError | undefined
    try {
      resolveThinking(profile, thinking)
    } catch (error) {
      thrown = error as ServiceError
    }
    expect(thrown).toMatchObject({ code: 'REQUEST_INVALID', faults: [{ pointer }] })
    expect(thrown!.message).toMatch(message)
  })
})

describe('a row', () => {
  test('has the tokens of the three exports, at every number of recurrences, and their thought', async () => {
    for (const steps of [1, 3, R]) {
      const [row] = await generate(start(), [{}], { steps })
      const { tokens, fed } = await expected(0, steps)
      expect(row!.tokens).toEqual(tokens)
      expect(row!.recurrences).toBe(steps * 8)
      const predicting = fed.slice(PROMPT.length - 1)
      const thought = Array.from({ length: R * D }, (_, at) => {
        const [i, d] = [Math.min(Math.floor(at / D), steps - 1), at % D]
        return predicting.reduce((sum, { states }) => sum + states[i]![d]!, 0) / predicting.length
      })
      expect(row!.thought).toMatchObject({ layers: R, width: D })
      expect(Math.max(...thought.map((x, at) => Math.abs(x - row!.thought!.data[at]!)))).toBeLessThan(1e-4)
    }
  })

  test('thinks from its own noise: the same alone, in a batch, and fed in pieces', async () => {
    const noises = [1, 2, 3, 4, 5]
    const batch = await generate(
      start(),
      noises.map((noise) => ({ noise })),
    )
    for (const [index, noise] of noises.entries()) {
      const { tokens } = await expected(noise, 4)
      const [alone] = await generate(start(), [{ noise }])
      const [inPieces] = await generate(start({ maxInputTokens: 2 }), [{ noise }])
      for (const row of [batch[index]!, alone!, inPieces!]) expect(row.tokens).toEqual(tokens)
    }
    expect(new Set(batch.map(({ tokens }) => tokens.join())).size).toBeGreaterThan(1)
  })

  test('shares no prompt with one of other steps, and one of the same steps does', async () => {
    const sessions = start()
    const [first] = await generate(sessions, [{}], { steps: 6 })
    const [other] = await generate(sessions, [{}], { steps: 2 })
    const [again] = await generate(sessions, [{}], { steps: 6 })
    expect(other!.reusedPromptTokens).toBeUndefined()
    expect(other!.tokens).toEqual((await expected(0, 2)).tokens)
    expect(again!.reusedPromptTokens).toBe(PROMPT.length)
    expect(again!.tokens).toEqual(first!.tokens)
  })

  test('stops thinking when its state has converged', async () => {
    const [row] = await generate(start(), [{}], { steps: R, isAdaptive: true })
    const { tokens, fed } = await expected(0, R, tolerance)
    expect(row!.tokens).toEqual(tokens)
    const taken = fed.slice(PROMPT.length - 1).reduce((sum, { states }) => sum + states.length, 0)
    expect(row!.recurrences).toBe(taken)
    expect(taken).toBeLessThan(8 * R)
    // In a batch with another row, and after a prompt that is known, it is the same.
    const sessions = start()
    const both = await generate(sessions, [{}, { noise: 7 }], { steps: R, isAdaptive: true })
    const [known] = await generate(sessions, [{}], { steps: R, isAdaptive: true })
    for (const each of [both[0]!, known!]) {
      expect([each.tokens, each.recurrences]).toEqual([tokens, taken])
    }
  })

  test('that was prefilled by a continuation goes on from the thinking of its sequence', async () => {
    const sessions = start()
    const [whole] = await generate(sessions, [{ noise: 3 }])
    const id = sessionsOpened
    const [first] = await sessions.generate(id, [{ ...ROW, noise: 3, maxNewTokens: 3 }])
    const [rest] = await sessions.generate(id, [{ ...ROW, sequence: first!.sequence, maxNewTokens: 5 }])
    expect([...first!.tokens, ...rest!.tokens]).toEqual(whole!.tokens)
  })

  test('whose context times recurrences exceeds the memory is refused before it is allocated', async () => {
    const positionBytes = bytesPerPosition(graphs.generation.layout)
    // Two layers outside the core, two in it: keys and values of two heads of eight floats.
    expect(positionBytes).toBe((2 + 2 * R) * 2 * 2 * 8 * 4)
    const bytes = 4 * positionBytes * (PROMPT.length + 20)
    await expect(generate(start({ bytes }), [{ maxNewTokens: 40 }])).rejects.toMatchObject({
      code: 'MEMORY_EXCEEDED',
      message: expect.stringContaining(`${positionBytes} B`),
    })
    const [row] = await generate(start({ bytes }), [{ maxNewTokens: 10 }])
    expect(row!.tokens).toHaveLength(10)
  })
})
