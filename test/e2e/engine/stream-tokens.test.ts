/** @file Tokens leave a real engine process while it decodes. */

import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEngine, type Engine } from '#engine'
import type { GenerationRow } from '#ports'
import { type TinyModelDirectory, tinyModelDirectory } from '../../fixtures/tiny-model-directory.ts'

let model: TinyModelDirectory
let engine: Engine
beforeAll(async () => {
  model = await tinyModelDirectory({ width: 128, heads: 4, layers: 6 })
  engine = await createEngine({
    directory: model.path,
    executionProvider: 'cpu',
    cudaDevice: 0,
    logger: pino({ level: 'silent' }),
  })
})
afterAll(async () => {
  await engine.close()
  await model[Symbol.asyncDispose]()
})

const open = () => engine.open([1, 4, 10, 17, 24, 5], { signal: new AbortController().signal })
/** Hot enough not to end by itself; more tokens than a run has. */
const row: GenerationRow = { prefix: [], temperature: 5, seed: 3, maxNewTokens: 100, latents: 0 }

test('a row’s tokens come in several parts, all before its result', async () => {
  const session = await open()
  const parts: (readonly number[])[] = []
  const [answer, silent] = await session.generate([
    {
      ...row,
      onTokens(tokens) {
        parts.push(tokens)
        return true
      },
    },
    { ...row, seed: 4 },
  ])
  expect(parts.flat()).toEqual(answer!.tokens)
  expect(parts.length).toBeGreaterThan(1)
  expect(silent!.tokens.length).toBeGreaterThan(0)
  session.close()
})

test('an error of a reader is the error of the call, and the session goes on', async () => {
  const session = await open()
  const failing = {
    ...row,
    onTokens() {
      throw new Error('reader: failed')
    },
  }
  await expect(session.generate([failing])).rejects.toThrow('reader: failed')
  expect((await session.generate([{ ...row, maxNewTokens: 2 }]))[0]!.tokens).toHaveLength(2)
  session.close()
})
