import { expect, test } from 'vitest'
import { createAnswerMemo, deriveSeed, updateLength } from '#algorithms'
import { evaluationOf } from '../../support/seek-problem.ts'

const END = 0

function memoWith() {
  const batches: (readonly (readonly number[])[])[] = []
  const memo = createAnswerMemo({
    eosTokenIds: [END],
    async complete(prefixes) {
      batches.push(prefixes)
      return prefixes.map((prefix) => evaluationOf(prefix, -0.5, null))
    },
  })
  return { memo, batches }
}

test('completes each prefix once, all unseen ones in one batch', async () => {
  const { memo, batches } = memoWith()
  const first = await memo.evaluate([
    [1, 2],
    [3, 4],
    [1, 2],
  ])
  const second = await memo.evaluate([
    [3, 4],
    [5, 6],
  ])

  expect(batches).toEqual([
    [
      [1, 2],
      [3, 4],
    ],
    [[5, 6]],
  ])
  expect(first[0]).toBe(first[2])
  expect(second[0]).toBe(first[1])
  expect(memo.evaluations).toBe(3)
})

test('treats prefixes that differ only after EOS as the same', async () => {
  const { memo, batches } = memoWith()
  await memo.evaluate([[1, END, 5]])
  await memo.evaluate([[1, END, 6]])

  expect(batches).toEqual([[[1, END]]])
})

test('does not count remembered answers', async () => {
  const { memo, batches } = memoWith()
  const draft = evaluationOf([1, 2], -0.9, null)
  memo.remember([1, 2], draft)

  expect(await memo.evaluate([[1, 2]])).toEqual([draft])
  expect(batches).toEqual([])
  expect(memo.evaluations).toBe(0)
})

test('distinguishes token lists with the same digits', async () => {
  const { memo, batches } = memoWith()
  await memo.evaluate([[1, 23]])
  await memo.evaluate([[12, 3]])

  expect(batches).toHaveLength(2)
})

test.each([
  [0.1, 4, 1], // the published code would leave it untouched
  [0.1, 19, 1],
  [0.1, 20, 2],
  [0.2, 40, 8],
  [1, 1000, 300],
])('rho %d of %d tokens moves %d latents', (rho, tokens, expected) => {
  expect(updateLength(rho, tokens)).toBe(expected)
})

test('row seeds depend on seed and row alone, and differ', () => {
  const seeds = Array.from({ length: 64 }, (_, row) => deriveSeed(7, row))

  expect(new Set(seeds).size).toBe(64)
  expect(deriveSeed(7, 3)).toBe(seeds[3])
  expect(deriveSeed(8, 3)).not.toBe(seeds[3])
  expect(seeds.every(Number.isSafeInteger)).toBe(true)
})
