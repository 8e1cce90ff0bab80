import { describe, expect, test } from 'vitest'
import type { UncertainQuestion } from '#episodes'
import { type ErrorCode, ServiceError } from '#errors'
import type { ConsolidationContext } from '../../../src/consolidation/context.ts'
import { gatherEvidence } from '../../../src/consolidation/gather-evidence.ts'
import { createEpisodesInMemory } from '../../support/episodes-in-memory.ts'
import { CONSOLIDATION } from '../../support/http-app.ts'
import { createLinearModel } from '../../support/linear-model.ts'
import { TWO_FLIPS } from '../../support/solve-in-memory.ts'

const LIMITS = { questions: 4, minutes: 1 }

const ask = (tenantId: string, ...questions: readonly string[]): readonly UncertainQuestion[] =>
  questions.map((question) => ({ tenantId, question }))

function gathering(
  questions: readonly UncertainQuestion[],
  over: Partial<Pick<ConsolidationContext, 'openReplayEngine' | 'signal' | 'learning'>> & {
    readonly model?: string
    /** Right answers that callers have told, by question. */
    readonly told?: Readonly<Record<string, string | null>>
  } = {},
  memory = createEpisodesInMemory(),
) {
  const engine = createLinearModel(TWO_FLIPS)
  const asked: unknown[] = []
  const counts = { opened: 0, closed: 0 }
  const { model = engine.model.fingerprint, told = {}, ...rest } = over
  const context: Pick<
    ConsolidationContext,
    | 'training'
    | 'learning'
    | 'consolidations'
    | 'consolidation'
    | 'episodes'
    | 'openReplayEngine'
    | 'logger'
    | 'signal'
  > = {
    consolidation: { ...CONSOLIDATION, id: 'now', fingerprint: model },
    consolidations: {
      list: async () => [
        { ...CONSOLIDATION, id: 'now' },
        { ...CONSOLIDATION, id: 'before' },
      ],
    } as unknown as ConsolidationContext['consolidations'],
    training: {
      async uncertainQuestions(...args: readonly unknown[]) {
        asked.push(args)
        return questions
      },
      async answeredQuestions(...args: readonly unknown[]) {
        asked.push(args)
        return Object.keys(told).map((question) => ({ tenantId: 'a', question, episodeId: `of ${question}` }))
      },
      async heldOutQuestions(_fingerprint: string, episodes: readonly { readonly episodeId: string }[]) {
        return episodes.map(({ episodeId }) => {
          const question = episodeId.slice(3)
          return { tenantId: 'a', question, reference: told[question], referenceSource: 'feedback' }
        })
      },
    } as unknown as ConsolidationContext['training'],
    episodes: {
      ...memory,
      async get(_tenantId, id) {
        const known = memory.added.find((episode) => episode.id === id)
        if (known === undefined) throw new ServiceError('EPISODE_NOT_FOUND', 'get: expected one, got none')
        return known as never
      },
    },
    learning: learningFrozenAfter(Number.POSITIVE_INFINITY),
    logger: { info() {}, warn() {} },
    signal: new AbortController().signal,
    async openReplayEngine() {
      counts.opened += 1
      return {
        engine,
        async close() {
          counts.closed += 1
        },
      }
    },
    ...rest,
  }
  return {
    evidence: gatherEvidence(context as ConsolidationContext, LIMITS),
    engine,
    memory,
    asked,
    counts,
  }
}

/** Learning is frozen from the given read of its state on. */
function learningFrozenAfter(reads: number): ConsolidationContext['learning'] {
  let read = 0
  const state = async () => ({
    frozenSince: ++read > reads ? '2026-03-02T03:04:05.678Z' : null,
    reason: 'odd answers',
  })
  return { state, freeze: state, unfreeze: state }
}

describe('the step `evidence`', () => {
  test.each([
    ['the first question', 0],
    ['an answer is stored', 1],
  ])('stores nothing when learning is frozen before %s', async (_when, reads) => {
    const { evidence, memory, counts } = gathering(ask('a', '6 + 4 = ?'), {
      learning: learningFrozenAfter(reads),
    })
    expect(await evidence).toMatchObject({ questions: 1, sampled: 0 })
    expect(memory.added).toEqual([])
    expect(counts).toEqual({ opened: 1, closed: 1 })
    if (reads === 0)
      expect((await evidence).stopped).toBe('learning is frozen since 2026-03-02T03:04:05.678Z: odd answers')
  })

  test('stores the draft and eight samples of each question as an episode of the night, at background priority', async () => {
    const { evidence, engine, memory, asked, counts } = gathering(ask('a', '6 + 4 = ?', '7 + 4 = ?'))
    expect(await evidence).toEqual({
      questions: 2,
      sampled: 2,
      failed: 0,
      generatedTokens: expect.any(Number),
      stopped: null,
    })
    expect((await evidence).generatedTokens).toBeGreaterThan(0)
    expect(memory.added).toHaveLength(2)
    for (const { origin, strategy, candidates } of memory.added) {
      expect({ origin, strategy }).toEqual({ origin: 'night', strategy: 'majority' })
      expect(candidates.map(({ kind }) => kind)).toEqual(['draft', ...Array(8).fill('sample')])
    }
    expect(engine.opened.every(({ priority }) => priority === 'background')).toBe(true)
    expect(counts).toEqual({ opened: 1, closed: 1 })
    const since = new Date(CONSOLIDATION.startedAt ?? '')
    expect(asked).toEqual([
      ['linear-fingerprint', { salt: 'now', before: new Date(CONSOLIDATION.createdAt), limit: 2 }],
      ['linear-fingerprint', { since, perTenant: 4 }],
    ])
  })

  test('labels samples by the answer that a caller has told, and leaves out one that was refuted', async () => {
    const { evidence, memory } = gathering(ask('a', '6 + 4 = ?', '7 + 4 = ?'), {
      told: { '6 + 4 = ?': '3', '8 + 4 = ?': null },
    })
    expect(await evidence).toMatchObject({ sampled: 2, failed: 0 })
    expect(memory.added.map(({ question, reference }) => ({ question, reference }))).toEqual([
      { question: '6 + 4 = ?', reference: '3' },
      { question: '7 + 4 = ?', reference: null },
    ])
  })

  test('continues another attempt with the questions that have no episode', async () => {
    const first = gathering(ask('a', '6 + 4 = ?'))
    await first.evidence
    const again = gathering(ask('a', '6 + 4 = ?', '7 + 4 = ?'), {}, first.memory)
    expect(await again.evidence).toMatchObject({ questions: 2, sampled: 2, failed: 0 })
    expect(again.memory.added.map(({ question }) => question)).toEqual(['6 + 4 = ?', '7 + 4 = ?'])
  })

  test('takes each folded text once, and no tenant over its share', async () => {
    const many = ask('a', '1 + 1 = ?', '1 + 1=?', '2 + 2 = ?', '3 + 3 = ?', '4 + 4 = ?')
    const { evidence, memory } = gathering([...many, ...ask('b', '5 + 5 = ?', '6 + 6 = ?')])
    expect(await evidence).toMatchObject({ questions: 4, sampled: 4 })
    expect(memory.added.map(({ question }) => question).sort()).toEqual([
      '1 + 1 = ?',
      '2 + 2 = ?',
      '5 + 5 = ?',
      '6 + 6 = ?',
    ])
  })

  test('counts a failed commit as a failed question', async () => {
    const failing = createEpisodesInMemory({ failing: ['add'] })
    const { evidence } = gathering(ask('a', '6 + 4 = ?'), {}, failing)
    expect(await evidence).toMatchObject({ questions: 1, sampled: 0, failed: 1 })
  })

  test('opens no engine when there is no question', async () => {
    const { evidence, counts } = gathering([])
    expect(await evidence).toMatchObject({ questions: 0, stopped: null })
    expect(counts.opened).toBe(0)
  })

  test.each<ErrorCode>(['MODEL_INVALID', 'ENGINE_UNAVAILABLE', 'ENGINE_CRASHED'])(
    'ends with a reason when opening the engine throws %s',
    async (code) => {
      const openReplayEngine = () => Promise.reject(new ServiceError(code, 'open: expected one, got none'))
      const { evidence } = gathering(ask('a', '6 + 4 = ?'), { openReplayEngine })
      expect(await evidence).toMatchObject({
        questions: 1,
        sampled: 0,
        stopped: expect.stringContaining('got none'),
      })
    },
  )

  test('ends with a reason when the worker has another model', async () => {
    const { evidence, counts } = gathering(ask('a', '6 + 4 = ?'), { model: 'another' })
    expect(await evidence).toMatchObject({ sampled: 0, stopped: expect.stringContaining('another') })
    expect(counts).toEqual({ opened: 1, closed: 1 })
  })

  test('throws when the consolidation is aborted', async () => {
    const { evidence } = gathering(ask('a', '6 + 4 = ?'), { signal: AbortSignal.abort(new Error('stop')) })
    await expect(evidence).rejects.toThrow('stop')
  })
})
