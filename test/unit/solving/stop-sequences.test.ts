/** @file Stop sequences, budgets of one answer and of the search, and the draft's text as it is decoded. */

import { expect, suite, test } from 'vitest'
import { ServiceError } from '#errors'
import type { SolveEvent } from '#solving'
import { encode, type World } from '../../support/linear-model.ts'
import { route, solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'

const GOOD: World = {
  routes: { a: route('1', 0.95, ': 6 + 4 ; ans 1 ; 9 9 9 9 9 9 9 9 9 9 9 9') },
  firstLogits: { a: 3 },
}
const textOf = (events: readonly SolveEvent[]) =>
  events.map((event) => (event.event === 'tokens' ? event.data.text : '')).join('')

suite('a stop sequence', () => {
  test.each([undefined, 1, 4, 40])('ends the draft, in runs of %s tokens', async (runTokens) => {
    const { solve, engine, events } = solverOn({ ...GOOD, ...(runTokens !== undefined && { runTokens }) })
    const solution = await solve({ strategy: 'greedy', stop: [' ; 9', 'wise'] })
    const tokens = encode('a : 6 + 4 ; ans 1 ; 9')
    expect(solution).toMatchObject({
      text: 'a : 6 + 4 ; ans 1',
      answer: '1',
      finish: 'end',
      stopped: 'single',
      usage: { completionTokens: tokens.length },
    })
    // The judge reads the answer up to the sequence.
    expect(engine.judged[0]!.slice(-tokens.length - 1)).toEqual([...tokens, ...encode('check')])
    if (runTokens === undefined) return
    expect(textOf(events)).toBe(solution.text)
    // Decoding goes on to the end of the run, and no further.
    expect(solution.usage.generatedTokens).toBe(
      Math.min(22, Math.ceil(tokens.length / runTokens) * runTokens),
    )
  })

  test('ends regenerated answers and samples too', async () => {
    const world = { ...TWO_FLIPS, runTokens: 1 }
    const searched = await solverOn(world).solve({ strategy: 'latentseek', stop: [' ; ans'], explain: true })
    expect(searched.candidates?.length).toBeGreaterThan(1)
    expect(new Set(searched.candidates?.map(({ tokens }) => tokens))).toEqual(new Set([7]))
    const { solve, engine } = solverOn({ ...GOOD, runTokens: 3 })
    const voted = await solve({ strategy: 'majority', samples: 2, stop: ['6'] })
    expect(voted).toMatchObject({ text: 'a : ', finish: 'end', answer: null })
    // Two samples, and their ends.
    expect(engine.asked.map(({ maxNewTokens }) => maxNewTokens)).toEqual([48, 48, 0, 0])
  })

  test('in the prefix that the search moves ends the answer there', async () => {
    const { solve } = solverOn({ ...TWO_FLIPS, runTokens: 1 })
    const solution = await solve({
      strategy: 'latentseek',
      stop: ['a', 'b', 'c'],
      budget: { maxIterations: 30 },
    })
    expect(solution.text).toBe('')
    expect(solution.finish).toBe('end')
  })

  test('that never comes changes nothing', async () => {
    const usual = await solverOn(GOOD).solve({ strategy: 'greedy' })
    const {
      id: _,
      timings: __,
      ...same
    } = await solverOn({ ...GOOD, runTokens: 2 }).solve({
      strategy: 'greedy',
      stop: ['wise'],
    })
    expect(usual).toMatchObject(same)
  })
})

suite('a budget', () => {
  test('of one answer cuts each answer', async () => {
    const { solve } = solverOn(TWO_FLIPS)
    expect(await solve({ strategy: 'greedy', budget: { maxAnswerTokens: 3 } })).toMatchObject({
      text: 'a : 6',
      finish: 'length',
      stopped: 'maxNewTokens',
      usage: { completionTokens: 3, generatedTokens: 3 },
    })
  })

  test.each([0, 5, 9, 12, 20, 40])('of %d tokens for the search holds', async (maxSearchTokens) => {
    for (const strategy of ['latentseek', 'auto', 'majority', 'lto', 'greedy'] as const) {
      const { usage } = await solverOn(TWO_FLIPS).solve({ strategy, budget: { maxSearchTokens } })
      expect(usage.generatedTokens - usage.completionTokens, strategy).toBeLessThanOrEqual(maxSearchTokens)
    }
  })

  test('of the search leaves room for a better answer when it is large enough', async () => {
    const { solve } = solverOn(TWO_FLIPS)
    expect(await solve({ budget: { maxSearchTokens: 40 } })).toMatchObject({ answer: '3', stopped: 'reward' })
    expect(await solve({ budget: { maxSearchTokens: 5 } })).toMatchObject({
      answer: '1',
      stopped: 'maxNewTokens',
    })
  })

  test('follows the effort, of which the profile may name its own', async () => {
    const never: World = { routes: { a: route('1', 0.1) }, firstLogits: { a: 3 } }
    const iterations = async (world: World, effort?: 'minimal' | 'high') =>
      (await solverOn(world).solve(effort === undefined ? {} : { effort })).iterations
    const usual = await iterations(never)
    expect(usual).toBe(50)
    expect(await iterations(never, 'minimal')).toBe(13)
    expect(await iterations(never, 'high')).toBe(100)
    const { profile } = solverOn(never).engine.model
    const efforts = { high: { maxIterations: 7 }, medium: { maxIterations: 5 } }
    const defaults = { ...profile.defaults, efforts }
    expect(await iterations({ ...never, profile: { defaults } }, 'high')).toBe(7)
    expect(await iterations({ ...never, profile: { defaults } })).toBe(50)
    const { solve, engine } = solverOn(never)
    await solve({ strategy: 'majority', effort: 'minimal' })
    expect(engine.asked).toHaveLength(2)
    await solve({ strategy: 'majority', effort: 'minimal', samples: 3 })
    expect(engine.asked).toHaveLength(5)
  })
})

suite('the text of the draft', () => {
  test('comes run by run, before the draft', async () => {
    const { solve, events } = solverOn({ ...TWO_FLIPS, runTokens: 4 })
    await solve({ strategy: 'latentseek' })
    expect(events.slice(0, 3).map(({ event }) => event)).toEqual(['tokens', 'tokens', 'draft'])
    expect(textOf(events)).toBe('a : 6 + 4 ; ans 1')
  })

  test('of samples is that of the first', async () => {
    const { solve, events } = solverOn({ ...TWO_FLIPS, runTokens: 4 })
    await solve({ strategy: 'majority', samples: 3 })
    expect(events[0]!.event).toBe('tokens')
    expect(textOf(events)).toMatch(/^[a-d] : 6 \+ 4 ; ans \d$/)
  })

  test('is not asked for when nobody listens', async () => {
    const { solver, engine } = solverOn({ ...TWO_FLIPS, runTokens: 4 })
    await solver.solve(
      { tenantId: 't', question: '1', strategy: 'greedy', learn: false, explain: false },
      { signal: new AbortController().signal },
    )
    expect(engine.asked.map(({ onTokens }) => onTokens)).toEqual([undefined])
  })

  test('comes once when the engine crashes in the middle, also when the runs are cut otherwise', async () => {
    let runTokens = 3
    let crashes = 1
    const world: World = {
      ...TWO_FLIPS,
      get runTokens() {
        return runTokens
      },
      before(call) {
        if (call !== 'score' || crashes-- <= 0) return
        runTokens = 4
        throw new ServiceError('ENGINE_CRASHED', 'engine: died')
      },
    }
    const { solve, events } = solverOn(world)
    await solve({ strategy: 'greedy' })
    expect(textOf(events)).toBe('a : 6 + 4 ; ans 1')
  })
})
