/** @file Rows by the memory that they need: they wait, are refused, or run again in smaller batches. */

import { expect, suite, test } from 'vitest'
import type { GenerationRow } from '#ports'
import { isOutOfMemory } from '../../../src/engine/child/memory.ts'
import { createMemoryBudget } from '../../../src/engine/child/memory-budget.ts'
import { type TinySessions, tinySessions } from '../../support/tiny-sessions.ts'

const PROMPT = Array.from({ length: 20 }, (_, index) => 6 + index)
const ROWS: readonly GenerationRow[] = Array.from({ length: 8 }, (_, seed) => ({
  prefix: [],
  temperature: 5,
  seed,
  maxNewTokens: 20,
  latents: 0,
}))
/** Four copies of 39 positions of a row of `ROWS`; the tiny decoder caches 2 layers x 2 kinds x 2 heads x 8 fp32. */
const ROW_BYTES = 39 * 4 * (2 * 2 * 2 * 8 * 4)

let lastSession = 0

async function answers(engine: TinySessions, rows = ROWS) {
  lastSession += 1
  engine.sessions.open(lastSession, PROMPT)
  const continuations = await engine.sessions.generate(lastSession, rows)
  engine.sessions.close(lastSession)
  return continuations.map(({ tokens }) => tokens)
}

const mostRows = ({ runs }: TinySessions, from = 0) => Math.max(...runs.slice(from).map(({ rows }) => rows))

suite('rows beyond the memory of runs', () => {
  test('wait for their turn, and get the same tokens', async () => {
    const unbounded = await tinySessions()
    const expected = await answers(unbounded)
    expect(mostRows(unbounded)).toBe(8)
    const engine = await tinySessions({ memoryBytes: 3.5 * ROW_BYTES })
    expect(await answers(engine)).toEqual(expected)
    expect(mostRows(engine)).toBe(3)
  })

  test('wait in the turns of several callers and of the background, too', async () => {
    const unbounded = await tinySessions()
    const expected = await answers(unbounded)
    const engine = await tinySessions({ memoryBytes: 2.5 * ROW_BYTES, limits: { maxRunningRows: 4 } })
    const orders = [
      { priority: 'interactive', deadlineMs: null, caller: 'heavy' },
      { priority: 'interactive', deadlineMs: null, caller: 'light' },
      { priority: 'background', deadlineMs: null },
    ] as const
    const all = await Promise.all(
      orders.map(async (order, index) => {
        engine.sessions.open(1000 + index, PROMPT, order)
        const rows = index === 1 ? ROWS.slice(0, 1) : ROWS
        return (await engine.sessions.generate(1000 + index, rows)).map(({ tokens }) => tokens)
      }),
    )
    expect(all).toEqual([expected, expected.slice(0, 1), expected])
    expect(mostRows(engine)).toBe(2)
  })

  test('are passed by shorter ones of the same caller, and served in the end', async () => {
    const engine = await tinySessions({ memoryBytes: 2.4 * ROW_BYTES, limits: { chunkTokens: [2, 2] } })
    const served: string[] = []
    const ask = async (name: string, maxNewTokens: number) => {
      lastSession += 1
      engine.sessions.open(lastSession, PROMPT)
      await engine.sessions.generate(lastSession, [{ ...ROWS[0]!, maxNewTokens }])
      served.push(name)
    }
    // The first needs 1.4 of the budget, the second all of it; of the last two, each fits beside the first.
    await Promise.all([ask('first', 35), ask('long', 70), ask('short', 3), ask('next', 3)])
    expect(served).toEqual(['short', 'next', 'first', 'long'])
  })

  test('are refused at once when they can never fit, with the sum', async () => {
    const engine = await tinySessions({ memoryBytes: 0.9 * ROW_BYTES })
    await expect(answers(engine)).rejects.toMatchObject({
      code: 'MEMORY_EXCEEDED',
      message: expect.stringMatching(
        /^engine: expected rows that need at most 0.00 GiB of memory, got 0.00 GiB = 39 positions of prompt and answer x \(4 copies x 256 B\); ask for a shorter/,
      ),
    })
    // The prompt was fed; of the answers, no token was decoded.
    expect(engine.scheduler.totals().decodeTokens).toBe(0)
    const [short] = await answers(engine, [{ ...ROWS[0]!, maxNewTokens: 5 }])
    expect(short!.length).toBeGreaterThan(0)
  })
})

suite('a run that fails for want of memory', () => {
  test('is run again in smaller batches, and later runs are no larger', async () => {
    const expected = await answers(await tinySessions())
    const engine = await tinySessions()
    engine.failFrom(3, 'run a graph: ONNX Runtime refused: std::bad_alloc')
    expect(await answers(engine)).toEqual(expected)
    const { outOfMemoryRuns } = engine.scheduler.totals()
    expect(outOfMemoryRuns).toBeGreaterThan(0)
    expect(engine.budgets).toHaveLength(1)
    const before = engine.runs.length
    expect(await answers(engine)).toEqual(expected)
    expect(mostRows(engine, before)).toBeLessThan(3)
    expect(engine.scheduler.totals().outOfMemoryRuns).toBe(outOfMemoryRuns)
    expect(engine.budgets).toHaveLength(1)
  })

  test('fails a row that fails alone, and the process goes on', async () => {
    const engine = await tinySessions()
    const expected = await answers(engine)
    engine.failFrom(1, 'Failed to allocate memory for requested buffer of size 12884901888')
    await expect(answers(engine)).rejects.toMatchObject({
      code: 'MEMORY_EXCEEDED',
      message: expect.stringMatching(
        /^engine: expected memory for a run of one row, .*, got: Failed to allocate/,
      ),
    })
    engine.failFrom(0)
    expect(await answers(engine)).toEqual(expected)
  })

  test.each([
    'std::bad_alloc',
    '/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size 6291456000',
    'CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);',
    'CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0',
    'Array buffer allocation failed',
  ])('is told from other failures: %s', (message) => {
    expect(isOutOfMemory(new Error(message))).toBe(true)
    expect(isOutOfMemory(new Error('Non-zero status code returned while running Reshape node'))).toBe(false)
  })
})

test('the kept caches of samples share that of their prompt, and give the same verdicts', async () => {
  const position = 2 * 2 * 2 * 8 * 4
  const verdicts: Float32Array[][] = []
  const bytes: number[] = []
  for (const minSharedBytes of [Number.POSITIVE_INFINITY, 0]) {
    const engine = await tinySessions({ limits: { minSharedBytes } })
    engine.sessions.open(1, PROMPT)
    const samples = await engine.sessions.generate(1, ROWS)
    bytes.push(engine.sessions.load().cacheBytes)
    const suffixed = samples.map(({ sequence }) => ({ sequence, suffix: [7, 9] }))
    verdicts.push(await engine.sessions.score(1, suffixed, [8, 9]))
    const continued = await engine.sessions.generate(1, [{ ...ROWS[0]!, sequence: samples[0]!.sequence }])
    expect(continued[0]!.generatedTokens).toBeGreaterThan(0)
    engine.sessions.close(1)
  }
  // Eight copies of the prompt without its last token, which is fed again with each answer.
  expect(bytes[0]! - bytes[1]!).toBe(8 * (PROMPT.length - 1) * position)
  for (const [row, logits] of verdicts[0]!.entries())
    for (const [index, logit] of logits.entries()) expect(verdicts[1]![row]![index]).toBeCloseTo(logit, 4)
})

suite('rows that wait for memory', () => {
  const budget = createMemoryBudget({ bytes: 400, positionBytes: 1 })
  const row = (positions: number, isWaiting = true, submittedAt = 0) => ({
    size: { covered: 0, input: 1, positions },
    isWaiting,
    submittedAt,
  })
  /** Time at which the rows have waited so long that they are passed no more. */
  const LATE = 5000

  test('join in their order; those that have begun go on', () => {
    const rows = [row(40), row(30, false), row(30), row(10)]
    // 400 - 120 of the second; 160 of the first leave 120, less an eighth of 400; the third waits, the last behind it.
    expect(budget.admit(rows, 0, LATE)).toEqual([rows[0], rows[1]])
    expect(budget.admit(rows, 270, LATE)).toEqual([rows[1]])
  })

  test('are passed by small ones, within an eighth of the budget', () => {
    const rows = [row(60, false), row(60), ...Array.from({ length: 8 }, () => row(3))]
    expect(budget.admit(rows, 0, LATE)).toEqual([rows[0], ...rows.slice(2, 6)])
    // A row of nearly the whole budget would never find it free.
    const large = [row(60, false), row(99), row(3)]
    expect(budget.admit(large, 0, LATE)).toEqual([large[0]])
  })

  test('are passed by all that fit, for five seconds', () => {
    const rows = [row(40, false), row(70), row(25), row(3, true, 1)]
    // 400 - 160 of the first; less an eighth of 400 there is room for the third, and in the eighth for the last.
    expect(budget.admit(rows, 0, LATE - 1)).toEqual([rows[0], rows[2], rows[3]])
    expect(budget.admit(rows, 0, LATE)).toEqual([rows[0], rows[3]])
    // One that came later is passed for as long.
    const later = [row(40, false), row(70, true, 1), row(25)]
    expect(budget.admit(later, 0, LATE)).toEqual([later[0], later[2]])
  })

  test('run alone when nothing else has begun, also beyond a budget that was halved', () => {
    const halved = createMemoryBudget({ bytes: 400, positionBytes: 1 })
    expect(halved.halve([row(50).size])).toBe(100)
    const rows = [row(60), row(60)]
    expect(halved.admit(rows, 0)).toEqual([rows[0]])
    expect(halved.fits([rows[0]!.size])).toBe(true)
    expect(halved.fits(rows.map(({ size }) => size))).toBe(false)
    expect(() => halved.check(row(100).size)).not.toThrow()
    expect(() => halved.check(row(101).size)).toThrow('at most 0.00 GiB')
  })
})
