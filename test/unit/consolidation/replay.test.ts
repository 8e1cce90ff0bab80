import { describe, expect, test } from 'vitest'
import { identityWeaver } from '#algorithms'
import { type ReplayOptions, type ReplayQuestion, replay } from '#consolidation'
import { ServiceError } from '#errors'
import type { Weaver } from '#ports'
import { NO_TRAINED_MODELS } from '#serving'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { createLinearModel, type World } from '../../support/linear-model.ts'
import { solverOn, TWO_FLIPS } from '../../support/solve-in-memory.ts'
import { weaverTo } from '../../support/weaver-to.ts'

const QUESTION: ReplayQuestion = { tenantId: 'default', question: '6 + 4 = ?', reference: null }
const OPTIONS = {
  learned: NO_TRAINED_MODELS,
  retrieval: false,
  exclude: [],
  signal: new AbortController().signal,
} satisfies ReplayOptions

function replaying(world: World = TWO_FLIPS, episodes = createEpisodesInMemory()) {
  const engine = createLinearModel(world)
  const deps = { engine, episodes, logger: { info() {}, warn() {} } }
  return {
    engine,
    episodes,
    run: (questions: readonly ReplayQuestion[], options: Partial<ReplayOptions> = {}) =>
      replay(deps, questions, { ...OPTIONS, ...options }),
  }
}

/** Shifts the latents to the right answer. */
const weaver = weaverTo('c')

describe('replay', () => {
  test('returns one result for each question, in order', async () => {
    const questions = [
      { ...QUESTION, reference: ' 3 ' },
      { ...QUESTION, question: '7 + 4 = ?', reference: '9' },
      QUESTION,
    ]
    const plain = await replaying().run(questions)
    const woven = await replaying().run(questions, { learned: { weaver, rewardModel: null } })

    expect(plain.map((one) => [one?.question, one?.correct])).toEqual([
      ['6 + 4 = ?', true],
      ['7 + 4 = ?', false],
      ['6 + 4 = ?', null],
    ])
    for (const one of plain)
      expect(one).toMatchObject({ firstPass: false, evaluations: 2, generatedTokens: 19 })
    for (const one of woven) {
      expect(one).toMatchObject({ firstPass: true, iterations: 0, evaluations: 1 })
      expect(one!.reward).toBeCloseTo(-0.01, 6)
    }
  })

  test('returns the same results at any concurrency', async () => {
    const questions = Array.from({ length: 20 }, (_, index) => ({
      ...QUESTION,
      question: `${index} + 4 = ?`,
    }))
    const first = await replaying().run(questions, { concurrency: 1 })

    expect(await replaying().run(questions, { concurrency: 16 })).toEqual(first)
    expect(await replaying().run([])).toEqual([])
  })

  test('does not retrieve excluded episodes and stores none', async () => {
    const episodes = createEpisodesInMemory()
    await solverOn(TWO_FLIPS, { episodes }).solve({ strategy: 'auto' })
    const [own] = episodes.added.map(({ id }) => id)
    const { run } = replaying(TWO_FLIPS, episodes)

    const [off] = await run([QUESTION])
    const [on] = await run([QUESTION], { retrieval: true })
    const [without] = await run([QUESTION], { retrieval: true, exclude: [own!] })

    expect(on).toMatchObject({ firstPass: true, iterations: 0 })
    expect(without).toEqual(off)
    expect(off!.iterations).toBeGreaterThan(3)
    expect(episodes.added).toHaveLength(1)
    expect(episodes.queries.slice(1).map(({ exclude }) => exclude)).toEqual([[], [own]])
  })

  test('retrieves episodes of the tenant of the question', async () => {
    const { run, episodes } = replaying()
    await run([{ ...QUESTION, tenantId: 'other' }], { retrieval: true })
    expect(episodes.queries).toMatchObject([{ tenantId: 'other' }])
  })

  test('opens its sessions at background priority', async () => {
    const { run, engine } = replaying()
    await run([QUESTION, QUESTION])
    expect(engine.opened.map(({ priority }) => priority)).toEqual(['background', 'background'])
  })
})

describe('replay under failures', () => {
  test('waits while the engine is overloaded', async () => {
    let refusals = 2
    const world: World = {
      ...TWO_FLIPS,
      before(call) {
        if (call !== 'open' || refusals-- <= 0) return
        throw new ServiceError('ENGINE_OVERLOADED', 'engine: expected room', { retryAfterSeconds: 0.01 })
      },
    }
    const { run, engine } = replaying(world)
    const [one] = await run([QUESTION])

    expect(one!.reward).toBeGreaterThan(-0.1)
    expect(engine.calls.open).toBe(3)
  })

  test('ends when the signal fires, also while it waits', async () => {
    const controller = new AbortController()
    const overloaded: World = {
      ...TWO_FLIPS,
      before(call) {
        if (call !== 'open') return
        setTimeout(() => controller.abort(), 5)
        throw new ServiceError('ENGINE_OVERLOADED', 'engine: expected room', { retryAfterSeconds: 60 })
      },
    }
    await expect(
      replaying(overloaded).run([QUESTION, QUESTION], { signal: controller.signal }),
    ).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(replaying().run([QUESTION], { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    })
  })

  test.each(['PROMPT_TOO_LONG', 'MEMORY_EXCEEDED'] as const)(
    'has no result of a question with %s',
    async (code) => {
      let opened = 0
      const world: World = {
        ...TWO_FLIPS,
        before(call) {
          if (call === 'open' && ++opened === 2) throw new ServiceError(code, 'open: expected less')
        },
      }
      const results = await replaying(world).run([QUESTION, QUESTION, QUESTION], { concurrency: 1 })
      expect(results.map((one) => one === null)).toEqual([false, true, false])
    },
  )

  test('throws STORE_UNAVAILABLE when retrieval fails', async () => {
    const gone = createEpisodesInMemory({ failing: ['recollect'] })
    await expect(replaying(TWO_FLIPS, gone).run([QUESTION], { retrieval: true })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    })
  })

  test('throws ARTIFACT_INVALID when the weaver fails', async () => {
    const failing: Weaver = {
      ...identityWeaver,
      version: 'weaver-2',
      apply: () => Promise.reject(new ServiceError('ARTIFACT_INVALID', 'weave: expected numbers, got NaN')),
    }
    await expect(
      replaying().run([QUESTION], { learned: { weaver: failing, rewardModel: null } }),
    ).rejects.toMatchObject({ code: 'ARTIFACT_INVALID' })
  })
})
