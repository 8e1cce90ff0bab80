import { expect, suite, test } from 'vitest'
import type { GenerationRow } from '#ports'
import { createRandom } from '#tensor'
import type { KvView } from '../../../src/engine/child/key-values.ts'
import { createPrefixCache } from '../../../src/engine/child/prefix-cache.ts'
import { type TinySessions, type TinySessionsOptions, tinySessions } from '../../support/tiny-sessions.ts'

const PREFIXES = { minTokens: 6, maxPrompts: 4 }
const row: GenerationRow = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 20, latents: 3 }
/** Two layers of 2 x 2 heads x 8 in fp32. */
const POSITION_BYTES = 256

function words(seed: number, count: number): number[] {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => 6 + Math.floor(random.uniform() * 58))
}

const SYSTEM = [1, ...words(1, 11)]

function warm(options: TinySessionsOptions = {}): Promise<TinySessions> {
  return tinySessions({ prefixes: PREFIXES, ...options })
}

let lastSession = 0

/**
 * Makes the calls of a whole request: embeds the prompt, generates a greedy and a sampled answer, and scores
 * both.
 */
async function request({ sessions }: TinySessions, prompt: readonly number[]) {
  const session = ++lastSession
  sessions.open(session, prompt)
  const state = await sessions.embed(session)
  const answers = await sessions.generate(session, [row, { ...row, temperature: 1.1, seed: 7 }])
  const verdicts = await sessions.score(
    session,
    answers.map(({ sequence }) => ({ sequence, suffix: [6] })),
    [7, 8],
  )
  sessions.close(session)
  return {
    tokens: answers.map(({ tokens }) => tokens),
    numbers: [...state, ...verdicts.flatMap((verdict) => [...verdict])],
  }
}

suite('prompts kept for later sessions', () => {
  test.each<[string, TinySessionsOptions]>([
    ['plain attention', {}],
    ['fused attention', { decoder: { fused: true, width: 32 } }],
    ['fused attention, rotary positions outside', { decoder: { fused: true, rotary: 'outside', width: 32 } }],
    ['caches in half precision', { halfCaches: true }],
  ])('change no answer, greedy or sampled: %s', async (_, options) => {
    const cold = await tinySessions(options)
    const kept = await warm(options)
    const prompts = [
      [...SYSTEM, ...words(2, 5)],
      // The same system prompt, the same whole prompt, a beginning of it, an extension of it.
      [...SYSTEM, ...words(3, 8)],
      [...SYSTEM, ...words(2, 5)],
      [...SYSTEM, ...words(2, 3)],
      SYSTEM,
      [...SYSTEM, ...words(3, 8), 9, 10],
    ]
    const precision = options.halfCaches ? 1 : 4
    for (const prompt of prompts) {
      const expected = await request(cold, prompt)
      const got = await request(kept, prompt)
      if (!options.halfCaches) expect(got.tokens).toEqual(expected.tokens)
      got.numbers.forEach((number, index) => {
        expect(number).toBeCloseTo(expected.numbers[index]!, precision)
      })
    }
    expect(kept.scheduler.totals()).toMatchObject({ prefixHits: 5 })
    expect(cold.scheduler.totals()).toMatchObject({ prefixHits: 0, prefixTokensReused: 0 })
  })

  test('save feeding the shared tokens, and a known prompt saves the run', async () => {
    const engine = await warm()
    const fed = async (prompt: readonly number[]) => {
      const before = { runs: engine.runs.length, tokens: engine.scheduler.totals().prefillTokens }
      const session = ++lastSession
      engine.sessions.open(session, prompt)
      await engine.sessions.embed(session)
      engine.sessions.close(session)
      return [engine.runs.length - before.runs, engine.scheduler.totals().prefillTokens - before.tokens]
    }
    const prompt = [...SYSTEM, ...words(2, 5)]
    expect(await fed(prompt)).toEqual([1, 17])
    expect(await fed(prompt)).toEqual([0, 0])
    expect(await fed([...SYSTEM, 20, 21])).toEqual([1, 2])
    // A beginning of a known prompt: the state of its last token is not known.
    expect(await fed(prompt.slice(0, 15))).toEqual([1, 1])
    // Five tokens in common are too few.
    expect(await fed([...SYSTEM.slice(0, 5), ...words(9, 9)])).toEqual([1, 14])
    expect(engine.scheduler.totals()).toMatchObject({ prefixHits: 3, prefixTokensReused: 17 + 12 + 14 })
  })

  test('serve sessions that are open at the same time', async () => {
    const engine = await warm()
    const expected = await request(await tinySessions(), SYSTEM)
    engine.sessions.open(++lastSession, SYSTEM)
    await engine.sessions.embed(lastSession)
    expect((await request(engine, SYSTEM)).tokens).toEqual(expected.tokens)
    // One cache, held by a session and kept for others.
    expect(engine.sessions.load()).toMatchObject({
      cachedSequences: 1,
      cacheBytes: SYSTEM.length * POSITION_BYTES,
      keptPrompts: 1,
    })
  })

  test('are bounded, and the least recently used goes first', async () => {
    const engine = await warm()
    const prompts = [11, 12, 13, 14, 15, 16].map((seed) => [1, ...words(seed, 9)])
    for (const prompt of prompts.slice(0, 4)) await request(engine, prompt)
    await request(engine, prompts[0]!)
    for (const prompt of prompts.slice(4)) await request(engine, prompt)
    expect(engine.sessions.load()).toMatchObject({ sessions: 0, keptPrompts: 4, cachedSequences: 4 })
    const { prefixHits } = engine.scheduler.totals()
    await request(engine, prompts[0]!)
    expect(engine.scheduler.totals().prefixHits).toBe(prefixHits + 1)
    await request(engine, prompts[1]!)
    expect(engine.scheduler.totals().prefixHits).toBe(prefixHits + 1)
  })

  test('are dropped before the caches of an open session', async () => {
    const engine = await warm({ cacheBytes: 40 * POSITION_BYTES })
    engine.sessions.open(++lastSession, [1, ...words(21, 19)])
    await engine.sessions.embed(lastSession)
    engine.sessions.close(lastSession)
    expect(engine.sessions.load()).toMatchObject({ keptPrompts: 1, cacheBytes: 20 * POSITION_BYTES })
    const session = ++lastSession
    engine.sessions.open(session, [1, ...words(22, 14)])
    await engine.sessions.embed(session)
    expect(engine.sessions.load().keptPrompts).toBe(2)
    // The answers do not fit beside the old prompt; the open session's own prompt stays as long as it does.
    await engine.sessions.generate(session, [{ ...row, maxNewTokens: 10, temperature: 2, seed: 1 }])
    const { cacheBytes, cachedSequences, keptPrompts } = engine.sessions.load()
    expect(cacheBytes).toBeLessThanOrEqual(40 * POSITION_BYTES)
    expect({ cachedSequences, keptPrompts }).toEqual({ cachedSequences: 2, keptPrompts: 1 })
    const [again] = await engine.sessions.generate(session, [{ ...row, maxNewTokens: 1 }])
    expect(again!.generatedTokens).toBe(1)
    expect(engine.runs.at(-1)).toMatchObject({ inputLength: 1, pastLength: 14 })
  })

  test('200 sessions that close at random leave only kept prompts', async () => {
    const engine = await warm({ limits: { maxRunningRows: 8, chunkTokens: [2, 2] } })
    const random = createRandom(5)
    const below = (limit: number) => Math.floor(random.uniform() * limit)
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const session = ++lastSession
        const stayMs = below(240)
        const prompt = [...SYSTEM, ...words(100 + below(12), 1 + below(6))]
        for (let wait = below(60); wait > 0; wait--) await new Promise(setImmediate)
        engine.sessions.open(session, prompt)
        const timer = setTimeout(() => engine.sessions.close(session), stayMs)
        try {
          const [answer] = await engine.sessions.generate(session, [
            { ...row, temperature: index % 2, seed: index },
          ])
          await engine.sessions.score(session, [{ sequence: answer!.sequence, suffix: [6] }], [7])
          return 'answered'
        } catch (error) {
          return (error as { code: string }).code
        } finally {
          clearTimeout(timer)
          engine.sessions.close(session)
        }
      }),
    )
    // Both outcomes must occur, or the test shows nothing.
    expect(outcomes.filter((outcome) => outcome === 'ABORTED').length).toBeGreaterThan(20)
    expect(outcomes.filter((outcome) => outcome === 'answered').length).toBeGreaterThan(5)
    expect(new Set(outcomes)).toEqual(new Set(['ABORTED', 'answered']))
    expect(engine.scheduler.load()).toMatchObject({ runningRows: 0, waitingRows: 0 })
    const { sessions, keptPrompts, cachedSequences, cacheBytes } = engine.sessions.load()
    expect(sessions).toBe(0)
    expect(keptPrompts).toBeLessThanOrEqual(PREFIXES.maxPrompts)
    expect(cachedSequences).toBe(keptPrompts)
    expect(cacheBytes).toBeLessThanOrEqual(keptPrompts * (SYSTEM.length + 6) * POSITION_BYTES)
  })
})

suite('a prefix cache', () => {
  const state = new Float32Array(2)
  const prompt = (tokens: readonly number[]) => {
    const cache: KvView = {
      block: { arrays: [], rows: 1, length: tokens.length },
      row: 0,
      spans: [[0, tokens.length]],
    }
    return { tokens, cache, state, pooled: null }
  }

  test('finds the longest prefix, and leaves at least the last token to feed unless the whole prompt is known', () => {
    const prefixes = createPrefixCache({ minTokens: 2, maxPrompts: 9 })
    prefixes.keep(prompt([1, 2, 3, 9]))
    prefixes.keep(prompt([1, 2, 3, 4, 5]))
    prefixes.keep(prompt([1, 2, 8]))
    expect(prefixes.find([1, 2, 3, 4, 7, 7])).toMatchObject({ cache: { spans: [[0, 4]] }, state: null })
    expect(prefixes.find([1, 2, 3, 4])).toMatchObject({ cache: { spans: [[0, 3]] }, state: null })
    expect(prefixes.find([1, 2, 8])).toMatchObject({ cache: { spans: [[0, 3]] }, state })
    expect(prefixes.find([1, 3])).toBeNull()
    expect(prefixes.find([2, 2, 3])).toBeNull()
  })

  test('a longer prompt replaces the prompts that it begins with', () => {
    const prefixes = createPrefixCache({ minTokens: 2, maxPrompts: 9 })
    for (const tokens of [[1, 2], [1, 2, 3], [1, 4], [1]]) prefixes.keep(prompt(tokens))
    expect(prefixes.caches()).toHaveLength(2)
    expect(prefixes.dropOldest()).toBe(true)
    expect(prefixes.find([1, 2, 3])).toBeNull()
    expect(prefixes.dropOldest()).toBe(true)
    expect(prefixes.dropOldest()).toBe(false)
  })
})
