/** @file A stopped session returns what it has decoded, at the end of the run in progress. */

import { expect, suite, test } from 'vitest'
import type { Continuation, GenerationRow } from '#ports'
import { type TinySessions, tinySessions } from '../../support/tiny-sessions.ts'

/** Samples so hot that rows rarely end before their bound. */
const row = (seed: number, change: Partial<GenerationRow> = {}): GenerationRow => ({
  prefix: [],
  temperature: 5,
  seed,
  maxNewTokens: 40,
  latents: 6,
  thought: true,
  ...change,
})
const PROMPT = [1, 9, 12, 30, 7, 44, 21]
const OTHER = [1, 17, 8, 51]
const limits = { chunkTokens: [4, 4] } as const

async function untilRuns({ runs }: TinySessions, count: number): Promise<void> {
  while (runs.length < count) await new Promise(setImmediate)
}

/** Everything of a continuation but its sequence. */
function content({ sequence: _, ...rest }: Continuation) {
  return rest
}

suite('a stopped session', () => {
  test('returns the tokens, latents and thought that its rows have, as if each were bounded there', async () => {
    const engine = await tinySessions({ limits })
    engine.sessions.open(1, PROMPT)
    const rows = [row(1), row(2), row(3, { maxNewTokens: 2 }), row(4, { prefix: [8, 9] })]
    const generating = engine.sessions.generate(1, rows)
    // The prompt, the prefix, then two chunks.
    await untilRuns(engine, 4)
    engine.sessions.stop(1)
    engine.sessions.stop(1)
    const cut = await generating
    const runs = engine.runs.length
    expect(runs).toBeLessThanOrEqual(5)

    expect(cut.map(({ finish }) => finish)).toEqual(['aborted', 'aborted', 'length', 'aborted'])
    for (const { generatedTokens } of [cut[0]!, cut[1]!, cut[3]!]) {
      expect(generatedTokens).toBeGreaterThan(0)
      expect(generatedTokens).toBeLessThan(40)
    }
    const alone = await tinySessions({ limits })
    alone.sessions.open(1, PROMPT)
    for (const [index, { generatedTokens, ...got }] of cut.entries()) {
      const [bounded] = await alone.sessions.generate(1, [{ ...rows[index]!, maxNewTokens: generatedTokens }])
      expect(got.tokens).toEqual(bounded!.tokens)
      expect(got.latents.length).toBe(Math.min(6, generatedTokens))
      for (const [i, value] of got.latents.data.entries())
        expect(value).toBeCloseTo(bounded!.latents.data[i]!, 4)
      for (const [i, value] of got.thought!.data.entries())
        expect(value).toBeCloseTo(bounded!.thought!.data[i]!, 4)
    }
  })

  test('returns nothing of rows that did not decode yet, without another run', async () => {
    const engine = await tinySessions({ limits: { ...limits, maxRunningRows: 1 } })
    engine.sessions.open(1, PROMPT)
    const generating = engine.sessions.generate(1, [row(1), row(2, { prefix: [8, 9] })])
    await untilRuns(engine, 3)
    engine.sessions.stop(1)
    const [first, second] = await generating
    expect(first!.generatedTokens).toBeGreaterThan(0)
    expect(content(second!)).toEqual({
      tokens: [8, 9],
      latents: { data: new Float32Array(), length: 0, width: 16 },
      thought: null,
      signals: null,
      finish: 'aborted',
      generatedTokens: 0,
    })
    const runs = engine.runs.length
    expect((await engine.sessions.generate(1, [row(3)])).map(content)).toMatchObject([
      { tokens: [], finish: 'aborted', generatedTokens: 0 },
    ])
    expect(engine.runs).toHaveLength(runs)
    expect(engine.scheduler.load()).toEqual({ waitingRows: 0, runningRows: 0, runningSessions: 0 })
  })

  test('returns nothing of a row whose prompt is still fed', async () => {
    const engine = await tinySessions({ limits: { ...limits, maxInputTokens: 2 } })
    engine.sessions.open(1, PROMPT)
    const generating = engine.sessions.generate(1, [row(1)])
    await untilRuns(engine, 2)
    engine.sessions.stop(1)
    expect((await generating).map(content)).toMatchObject([{ tokens: [], finish: 'aborted' }])
    expect(engine.runs.length).toBeLessThanOrEqual(3)
  })

  test('fails its other calls with ABORTED, and leaves other sessions alone', async () => {
    const alone = await tinySessions({ limits })
    alone.sessions.open(2, OTHER)
    const [expected] = await alone.sessions.generate(2, [row(5)])

    const engine = await tinySessions({ limits: { ...limits, maxInputTokens: 4 } })
    engine.sessions.open(1, PROMPT)
    engine.sessions.open(2, OTHER)
    const other = engine.sessions.generate(2, [row(5)])
    const embedding = engine.sessions.embed(1)
    await untilRuns(engine, 1)
    engine.sessions.stop(1)
    await expect(embedding).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(engine.sessions.score(1, [{ sequence: 0, suffix: [6, 7] }], [8])).rejects.toMatchObject({
      code: 'ABORTED',
    })
    expect((await other)[0]!.tokens).toEqual(expected!.tokens)
  })

  test('that is closed drops what it has', async () => {
    const engine = await tinySessions({ limits })
    engine.sessions.open(1, PROMPT)
    const generating = engine.sessions.generate(1, [row(1)])
    await untilRuns(engine, 2)
    engine.sessions.stop(1)
    engine.sessions.close(1)
    await expect(generating).rejects.toMatchObject({ code: 'ABORTED' })
    engine.sessions.stop(1)
  })
})
