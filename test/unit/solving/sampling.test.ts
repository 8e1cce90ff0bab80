import { describe, expect, test } from 'vitest'
import { resolveSettings } from '../../../src/solving/settings.ts'
import { TEST_PROFILE } from '../../support/linear-model.ts'
import { REQUEST, route, solverOn } from '../../support/solve-in-memory.ts'

const NONE = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }

describe('the sampling of a request', () => {
  const profile = {
    ...TEST_PROFILE,
    defaults: { ...TEST_PROFILE.defaults, sampling: { temperature: 0.7, topK: 20, topP: 0.8 } },
  }
  test('is without effect where neither request nor profile has any', () => {
    expect(resolveSettings(REQUEST, TEST_PROFILE, null).sampling).toEqual(NONE)
  })
  test('is the profile’s, and the request’s before it, field by field', () => {
    expect(resolveSettings(REQUEST, profile, null).sampling).toEqual({
      ...{ ...NONE, temperature: 0.7, topK: 20, topP: 0.8 },
    })
    const request = { ...REQUEST, sampling: { topK: 0, minP: 0.1 } }
    expect(resolveSettings(request, profile, null).sampling).toEqual({
      ...{ ...NONE, temperature: 0.7, topK: 0, topP: 0.8, minP: 0.1 },
    })
  })
})

describe.each(['majority', 'lto'] as const)('%s', (strategy) => {
  const world = {
    routes: { a: route('1', 0.9), b: route('2', 0.5), c: route('3', 0.2) },
    firstLogits: { a: 1, b: 0.9, c: 0.5 },
  }
  const answersOf = async (sampling: object, seed = 1) => {
    const request = { strategy, samples: 32, sampling, seed, explain: true }
    const { candidates } = await solverOn(world).solve(request)
    return candidates!.map(({ answer }) => answer)
  }
  test('samples by the rules of the request', async () => {
    expect(new Set(await answersOf({}))).toEqual(new Set(['1', '2', '3']))
    expect(new Set(await answersOf({ topK: 2 }))).toEqual(new Set(['1', '2']))
    expect(new Set(await answersOf({ topK: 1 }))).toEqual(new Set(['1']))
    expect(new Set(await answersOf({ minP: 0.8 }))).toEqual(new Set(['1', '2']))
    expect(new Set(await answersOf({ temperature: 0.01 }))).toEqual(new Set(['1']))
  })
  test('gives the same samples for the same seed and rules, and others for another seed', async () => {
    const rules = { topP: 0.9, temperature: 1.5 }
    expect(await answersOf(rules)).toEqual(await answersOf(rules))
    expect(await answersOf(rules)).not.toEqual(await answersOf(rules, 2))
  })
})
