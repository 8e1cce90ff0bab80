/** @file Tokens of a row leave the engine process as they are decoded, and one row can be ended alone. */

import { expect, suite, test } from 'vitest'
import type { GenerationRow } from '#ports'
import { tinySessions } from '../../support/tiny-sessions.ts'

/** Samples so hot that rows rarely end before their bound. */
const row = (seed: number, change: Partial<GenerationRow> & { stream?: number } = {}) => ({
  prefix: [],
  temperature: 5,
  seed,
  maxNewTokens: 40,
  latents: 0,
  ...change,
})
const PROMPT = [1, 9, 12, 30, 7, 44, 21]
const limits = { chunkTokens: [4, 4] } as const

async function streaming() {
  const parts: { session: number; stream: number; tokens: readonly number[] }[] = []
  const engine = await tinySessions({
    limits,
    onTokens: (session, stream, tokens) => void parts.push({ session, stream, tokens }),
  })
  engine.sessions.open(3, PROMPT)
  const tokensOf = (stream: number) =>
    parts.filter((part) => part.stream === stream).flatMap(({ tokens }) => tokens)
  return { ...engine, parts, tokensOf }
}

suite('rows with a stream', () => {
  test('send the tokens of each run, none of the prefix, and all before their result', async () => {
    const { sessions, parts, tokensOf } = await streaming()
    const prefix = [8, 9]
    const [one, two, silent] = await sessions.generate(3, [
      row(1, { stream: 1 }),
      row(2, { stream: 2, prefix }),
      row(3),
    ])
    expect(tokensOf(1)).toEqual(one!.tokens)
    expect(tokensOf(2)).toEqual(two!.tokens.slice(2))
    expect(silent!.tokens.length).toBeGreaterThan(0)
    expect(parts.every(({ session, tokens }) => session === 3 && tokens.length <= 4)).toBe(true)
    expect(parts.filter(({ stream }) => stream === 1).length).toBeGreaterThan(1)
  })

  test('give the tokens of rows without one', async () => {
    const { sessions } = await streaming()
    const [sent] = await sessions.generate(3, [row(1, { stream: 1 })])
    const [silent] = await sessions.generate(3, [row(1)])
    expect(sent!.tokens).toEqual(silent!.tokens)
  })

  test('end alone, at the end of the run, and leave the others', async () => {
    const { sessions, tokensOf } = await streaming()
    const generating = sessions.generate(3, [row(1, { stream: 1 }), row(2, { stream: 2 })])
    while (tokensOf(1).length === 0) await new Promise(setImmediate)
    sessions.endRow(3, 1)
    sessions.endRow(3, 9)
    sessions.endRow(99, 1)
    const [ended, whole] = await generating
    expect(ended!.finish).toBe('aborted')
    expect(ended!.tokens.length).toBeGreaterThan(0)
    expect(ended!.tokens.length).toBeLessThan(40)
    expect(whole!.finish).not.toBe('aborted')
    expect(whole!.tokens.length).toBeGreaterThan(ended!.tokens.length)
    // The session goes on: an answer can be read up to any of its tokens.
    const [read] = await sessions.generate(3, [
      row(1, { prefix: ended!.tokens.slice(0, 3), maxNewTokens: 0, thought: true }),
    ])
    expect(read).toMatchObject({ tokens: ended!.tokens.slice(0, 3), generatedTokens: 0 })
    expect(read!.thought).not.toBeNull()
  })
})

test('a continuation says how many tokens of its prompt an earlier session had left', async () => {
  const { sessions } = await tinySessions({ limits, prefixes: { minTokens: 2, maxPrompts: 4 } })
  sessions.open(1, PROMPT)
  const [first] = await sessions.generate(1, [row(1)])
  expect(first).not.toHaveProperty('reusedPromptTokens')
  sessions.open(2, [...PROMPT.slice(0, 5), 50])
  const [alike] = await sessions.generate(2, [row(1)])
  expect(alike).toMatchObject({ reusedPromptTokens: 5 })
})
