import { describe, expect, test } from 'vitest'
import { isSettled, ordersOf, roundsOf } from '#algorithms'

const BEST = { strategy: 'best-of-n', selector: 'judge' } as const

describe('roundsOf', () => {
  test.each([
    [8, [2, 4, 8]],
    [7, [2, 4, 7]],
    [2, [2]],
    [1, [1]],
  ])('doubles up to %i samples', (samples, rounds) => {
    expect(roundsOf({ ...BEST, samples, stopAbove: 0.9 })).toEqual(rounds)
    expect(roundsOf({ ...BEST, samples, stopBelow: 0.1 })).toEqual(rounds)
    expect(roundsOf({ ...BEST, samples, stopVotes: 3 })).toEqual(rounds)
    expect(roundsOf({ ...BEST, samples })).toEqual([samples])
  })
})

describe('isSettled', () => {
  const arm = { ...BEST, samples: 8, stopAbove: 0.9, stopBelow: 0.1 }

  test.each([
    [0.9, true],
    [0.899, false],
    [0.1, false],
    [0.099, true],
    [null, false],
  ])('a P(correct) of %s between .1 and .9: %s', (confidence, settled) => {
    expect(isSettled(arm, { confidence, votes: 8 })).toBe(settled)
  })

  test('one threshold leaves the other side open', () => {
    expect(isSettled({ ...BEST, stopAbove: 0.9 }, { confidence: 0, votes: 8 })).toBe(false)
    expect(isSettled({ ...BEST, stopBelow: 0.1 }, { confidence: 1, votes: 8 })).toBe(false)
    expect(isSettled(BEST, { confidence: 0.5, votes: 8 })).toBe(false)
  })
})

test('votes settle an answer whatever its P(correct)', () => {
  const arm = { strategy: 'majority', stopVotes: 3 } as const
  for (const confidence of [null, 0, 0.5, 1]) {
    expect(isSettled(arm, { confidence, votes: 3 })).toBe(true)
    expect(isSettled(arm, { confidence, votes: 2 })).toBe(false)
  }
})

test('ordersOf begins with every other sample, and loses none', () => {
  expect(ordersOf([1, 2, 3, 4, 5])).toEqual([
    [1, 2, 3, 4, 5],
    [3, 4, 5, 1, 2],
    [5, 1, 2, 3, 4],
  ])
  expect(ordersOf([])).toEqual([])
})
