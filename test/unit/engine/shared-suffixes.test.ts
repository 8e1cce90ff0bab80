/** @file Verdicts on one answer whose questions begin alike: the beginning is fed once. */

import { expect, suite, test } from 'vitest'
import { type TinySessionsOptions, tinySessions } from '../../support/tiny-sessions.ts'

const PROMPT = [1, 9, 12, 30, 7, 44, 21]
const ROW = { prefix: [], temperature: 5, seed: 1, maxNewTokens: 12, latents: 0 }
/** What all criteria ask alike. */
const BEGINNING = Array.from({ length: 24 }, (_, index) => 6 + ((index * 7) % 50))
const ENDINGS = [[8, 9, 10], [8, 11], [13]]

async function verdicts(suffixes: readonly (readonly number[])[], options: TinySessionsOptions = {}) {
  const engine = await tinySessions(options)
  engine.sessions.open(1, PROMPT)
  const answers = await engine.sessions.generate(1, [ROW, { ...ROW, seed: 2 }])
  const rows = answers.flatMap(({ sequence }) => suffixes.map((suffix) => ({ sequence, suffix })))
  const fedBefore = engine.scheduler.totals().prefillTokens
  const runsBefore = engine.runs.length
  const logits = await engine.sessions.score(1, rows, [7, 8])
  const separate = []
  const fed = engine.scheduler.totals().prefillTokens - fedBefore
  const runs = engine.runs.slice(runsBefore)
  for (const row of rows) separate.push((await engine.sessions.score(1, [row], [7, 8]))[0]!)
  return { logits, separate, fed, runs }
}

suite('three criteria of two answers', () => {
  test.each<[string, TinySessionsOptions]>([
    ['plain attention', {}],
    ['fused attention', { decoder: { fused: true, width: 32 } }],
    ['pieces of 8 tokens', { limits: { maxInputTokens: 8 } }],
  ])('feed a shared beginning once for each answer: %s', async (_, options) => {
    const suffixes = ENDINGS.map((ending) => [...BEGINNING, ...ending])
    const { logits, separate, fed } = await verdicts(suffixes, options)
    // The last token of each answer is not cached; the second ending begins like the first.
    expect(fed).toBe(2 * (1 + BEGINNING.length + 3 + 1 + 1))
    for (const [index, [first, second]] of logits.entries()) {
      expect(first).toBeCloseTo(separate[index]![0]!, 4)
      expect(second).toBeCloseTo(separate[index]![1]!, 4)
    }
    expect(new Set(logits.slice(0, 3).map(([first]) => first)).size).toBe(3)
  })

  test('are one run where they share too little to wait for', async () => {
    const { runs, fed } = await verdicts(ENDINGS)
    expect(runs).toMatchObject([{ rows: 6 }])
    expect(fed).toBe(2 * (3 + 3 + 2 + 1))
  })

  test('may be the same question twice', async () => {
    const { logits } = await verdicts([BEGINNING, BEGINNING])
    expect(logits[0]![0]).toBeCloseTo(logits[1]![0]!, 4)
    expect(logits[2]![0]).toBeCloseTo(logits[3]![0]!, 4)
  })

  test('all fail when the first of them fails', async () => {
    const engine = await tinySessions()
    engine.sessions.open(1, PROMPT)
    const [answer] = await engine.sessions.generate(1, [ROW])
    engine.failFrom(1)
    const rows = ENDINGS.map((ending) => ({
      sequence: answer!.sequence,
      suffix: [...BEGINNING, ...ending],
    }))
    await expect(engine.sessions.score(1, rows, [7])).rejects.toMatchObject({ code: 'SESSION_FAILED' })
  })
})
