/** @file Tokens of a row leave the engine process as they are decoded, and one row can be ended alone. */

import { expect, onTestFinished, suite, test, vi } from 'vitest'
import { ServiceError } from '#errors'
import type { GenerationRow } from '#ports'
import type { ChildConnection } from '../../../src/engine/child-connection.ts'
import type { MessageToChild, WireRow } from '../../../src/engine/protocol.ts'
import { openRemoteSession } from '../../../src/engine/remote-session.ts'
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

suite('a client of a session', () => {
  function remote(stopSignal = new AbortController().signal) {
    const posted: MessageToChild[] = []
    let deliver: ((stream: number, tokens: readonly number[]) => void) | null = null
    const calls: { rows: readonly WireRow[]; resolve(value: unknown): void; reject(error: Error): void }[] =
      []
    const connection = {
      post: (message: MessageToChild) => void posted.push(message),
      listen(_session: number, listener: typeof deliver) {
        deliver = listener
      },
      call: (_operation: string, { rows }: { rows: readonly WireRow[] }) =>
        new Promise((resolve, reject) => calls.push({ rows, resolve, reject })),
      isRunning: () => false,
    } as unknown as ChildConnection
    const session = openRemoteSession({
      id: 7,
      prompt: PROMPT,
      connection,
      priority: 'interactive',
      caller: '',
      deadlineMs: null,
      stopAfterMs: null,
      isolated: false,
      tokenMaps: null,
      thinking: null,
      signal: new AbortController().signal,
      stopSignal,
      checkTokens: () => undefined,
      onCall: () => () => undefined,
      onClose: () => undefined,
    })
    const ended = () => posted.filter(({ type }) => type === 'endRow')
    return {
      session,
      calls,
      ended,
      deliver: (...part: [number, number[]]) => deliver?.(...part),
      isHeard: () => deliver !== null,
    }
  }
  const plain: GenerationRow = { prefix: [], temperature: 0, seed: 1, maxNewTokens: 9, latents: 0 }

  test('gives each row its own tokens, sends no function, and ends the row whose reader has enough', async () => {
    const { session, calls, deliver, ended } = remote()
    const parts: string[] = []
    const reader = (name: string, most: number) => (tokens: readonly number[]) => {
      parts.push(`${name}${tokens}`)
      return tokens.length < most
    }
    const generating = session.generate([
      { ...plain, onTokens: reader('a', 2) },
      plain,
      { ...plain, onTokens: reader('b', 9) },
    ])
    await Promise.resolve()
    expect(calls[0]!.rows.map(({ stream }) => stream)).toEqual([1, undefined, 2])
    expect(calls[0]!.rows.some((sent) => 'onTokens' in sent)).toBe(false)
    deliver(2, [5])
    deliver(1, [6, 7])
    expect(parts).toEqual(['b5', 'a6,7'])
    expect(ended()).toEqual([{ type: 'endRow', session: 7, stream: 1 }])
    calls[0]!.resolve([])
    await generating
    deliver(2, [8])
    expect(parts).toHaveLength(2)
  })

  test('that is stopped gets what is decoded when the run ends, even seconds later, but does not wait for ever', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const stop = new AbortController()
    const { session, calls } = remote(stop.signal)
    const [slow, crashed, lost] = [1, 2, 3].map(() => session.generate([plain]))
    const refused = Promise.all(
      [crashed, lost].map((row) => expect(row).rejects.toMatchObject({ code: 'ABORTED' })),
    )
    await vi.advanceTimersByTimeAsync(0)
    stop.abort()
    await vi.advanceTimersByTimeAsync(5900)
    calls[0]!.resolve(['what is decoded'])
    expect(await slow).toEqual(['what is decoded'])
    calls[1]!.reject(new ServiceError('ENGINE_CRASHED', 'engine: killed'))
    await vi.advanceTimersByTimeAsync(200)
    await refused
  })

  test('does not listen unless a row has a reader, nor after it has closed', async () => {
    const { session, calls, isHeard } = remote()
    const silent = session.generate([plain])
    await Promise.resolve()
    expect(isHeard()).toBe(false)
    calls[0]!.resolve([])
    await silent
    const generating = session.generate([{ ...plain, onTokens: () => true }])
    await Promise.resolve()
    expect(isHeard()).toBe(true)
    calls[1]!.resolve([])
    await generating
    session.close()
    expect(isHeard()).toBe(false)
  })
})
