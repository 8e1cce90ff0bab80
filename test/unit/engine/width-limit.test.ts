import { expect, test } from 'vitest'
import { type TinySessionsOptions, tinySessions } from '../../support/tiny-sessions.ts'

const WIDTH = 40
const PROMPTS = [Array.from({ length: 30 }, (_, i) => 8 + i), [9, 8, 7]]

async function decodeTogether(options: TinySessionsOptions) {
  const { sessions, runs } = await tinySessions({
    decoder: { fused: true, width: 32 },
    contextLength: WIDTH,
    limits: { chunkTokens: [64, 64] },
    ...options,
  })
  const answers = await Promise.all(
    PROMPTS.map((prompt, id) => {
      sessions.open(id, prompt)
      return sessions.generate(id, [{ prefix: [], temperature: 0, seed: 0, maxNewTokens: 30, latents: 0 }])
    }),
  )
  return { tokens: answers.map(([answer]) => answer!.tokens), runs }
}

test('no run is wider than the graph permits: a short row does not decode past the end of a long one', async () => {
  const free = await decodeTogether({})
  const limited = await decodeTogether({ maxWidth: WIDTH })
  const widest = ({ runs }: typeof free) =>
    Math.max(...runs.map(({ pastLength, inputLength, steps }) => pastLength + inputLength + steps - 1))
  expect(Math.max(...limited.runs.map(({ rows }) => rows))).toBe(2)
  expect(widest(free)).toBeGreaterThan(WIDTH)
  expect(widest(limited)).toBe(WIDTH)
  expect(limited.tokens).toEqual(free.tokens)
})
