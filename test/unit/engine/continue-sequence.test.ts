import { expect, test } from 'vitest'
import type { GenerationRow } from '#ports'
import { EOS, tinySessions } from '../../support/tiny-sessions.ts'

const PROMPT = [5, 9, 3, 7]
const ROW: GenerationRow = { prefix: [], temperature: 0, seed: 0, maxNewTokens: 6, latents: 0 }

async function greedy(prompt: readonly number[], length: number): Promise<readonly number[]> {
  const { sessions } = await tinySessions()
  sessions.open(1, prompt)
  const [continuation] = await sessions.generate(1, [{ ...ROW, maxNewTokens: length }])
  return continuation!.tokens
}

test('a sequence is continued as if it had been the prompt', async () => {
  const { sessions } = await tinySessions()
  sessions.open(1, PROMPT)
  const [answer] = await sessions.generate(1, [ROW])
  const suffix = [11, 4, 8]

  const [judged] = await sessions.generate(1, [{ ...ROW, sequence: answer!.sequence, prefix: suffix }])

  const alone = await greedy([...PROMPT, ...answer!.tokens, ...suffix], 6)
  expect(judged!.tokens).toEqual([...suffix, ...alone])
  expect(judged!.generatedTokens).toBe(alone.length)
})

test('an EOS inside the suffix does not end the continuation: turns of a conversation end in EOS', async () => {
  const { sessions } = await tinySessions()
  sessions.open(1, PROMPT)
  const suffix = [EOS, 11, EOS, 4]

  const [judged, ended] = await sessions.generate(1, [
    { ...ROW, sequence: 0, prefix: suffix },
    { ...ROW, prefix: suffix },
  ])

  expect(judged!.tokens).toEqual([...suffix, ...(await greedy([...PROMPT, ...suffix], 6))])
  // The prefix of an answer does end at its EOS.
  expect(ended).toMatchObject({ tokens: [EOS], finish: 'eos', generatedTokens: 0 })
})

test('all rows of one call share the prompt and the runs', async () => {
  const { sessions, runs } = await tinySessions()
  sessions.open(1, PROMPT)
  await sessions.embed(1)
  runs.length = 0

  const rows = [[11], [12], [13]].map((prefix) => ({ ...ROW, sequence: 0, prefix }))
  const continuations = await sessions.generate(1, rows)

  expect(Math.max(...runs.map((run) => run.rows))).toBe(3)
  const alone = await Promise.all(rows.map(({ prefix }) => greedy([...PROMPT, ...prefix], 6)))
  expect(continuations.map(({ tokens }) => tokens.slice(1))).toEqual(alone)
})

test('the text of a judge keeps no cache, and can still be continued', async () => {
  const { sessions } = await tinySessions()
  sessions.open(1, PROMPT)
  const [first] = await sessions.generate(1, [ROW])
  const before = sessions.load().cacheBytes

  const [judged] = await sessions.generate(1, [{ ...ROW, sequence: first!.sequence, prefix: [11] }])
  expect(sessions.load().cacheBytes).toBe(before)

  const [onward] = await sessions.generate(1, [{ ...ROW, sequence: judged!.sequence, prefix: [12] }])
  const whole = [...PROMPT, ...first!.tokens, ...judged!.tokens, 12]
  expect(onward!.tokens).toEqual([12, ...(await greedy(whole, 6))])
})

test('a sequence of another session is refused', async () => {
  const { sessions } = await tinySessions()
  sessions.open(1, PROMPT)
  await expect(sessions.generate(1, [{ ...ROW, sequence: 7 }])).rejects.toMatchObject({ code: 'INTERNAL' })
})
