/** @file What the console makes of the events of a solve, of two texts, and of a request. */

import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type { Solution, SolveEvent, SolveRequest } from '../../../clients/typescript/src/index.ts'
import { asCode } from '../../../console/src/views/ask/as-code.ts'
import { diffWords } from '../../../console/src/views/ask/diff.ts'
import { addEvent, beginRun, hasMemoryLed, type Run } from '../../../console/src/views/ask/run.ts'
import { SOLUTION } from '../../support/http-app.ts'

const candidate = (answer: string, reward: number, over: object = {}): SolveEvent => ({
  event: 'candidate',
  data: {
    kind: 'regeneration',
    text: `ans ${answer}`,
    answer,
    reward,
    rewardTerms: {},
    logProbability: null,
    selfCertainty: null,
    confidence: null,
    lrm: null,
    tokens: 3,
    ...over,
  },
})
const iteration = (step: number, answer: string, reward: number, changed = true): SolveEvent => ({
  event: 'iteration',
  data: { step, answer, reward, changed },
})
const draft: SolveEvent = { event: 'draft', data: { answer: '0', reasoning: 'ans 0', reward: -0.7 } }
const retrieved: SolveEvent = {
  event: 'retrieval',
  data: { retrieved: [{ episodeId: 'e', similarity: 0.9, weight: 1 }] },
}

function run(events: readonly SolveEvent[], strategy: NonNullable<SolveRequest['strategy']> = 'auto'): Run {
  const begun = beginRun({ question: 'q', strategy }, 'key', 0)
  events.forEach((event, index) => {
    addEvent(begun, event, index)
  })
  return begun
}
const moments = ({ moments, answers }: Run) =>
  moments.map(({ kind, number, answer, isAccepted, isNew }) => [
    kind,
    number,
    answers[answer]?.answer,
    isNew ? (isAccepted ? 'accepted' : 'rejected') : 'unchanged',
  ])

describe('the moments of a solve', () => {
  test('each step has its answer: a new one, the one before, or one that is known', () => {
    const events = [
      draft,
      candidate('8', -0.9),
      iteration(1, '8', -0.9),
      iteration(2, '8', -0.9, false),
      iteration(3, '0', -0.7),
      candidate('9', -0.1),
      iteration(4, '9', -0.1),
    ]
    expect(moments(run(events, 'latentseek'))).toEqual([
      ['draft', null, '0', 'accepted'],
      ['step', 1, '8', 'rejected'],
      ['step', 2, '8', 'unchanged'],
      ['step', 3, '0', 'unchanged'],
      ['step', 4, '9', 'accepted'],
    ])
  })

  test('an answer between retrieval and the first step is that of memory', () => {
    const led = run([retrieved, candidate('5', -0.1)])
    expect(moments(led)).toEqual([['memory', null, '5', 'accepted']])
    expect(hasMemoryLed(led)).toBe(true)
    const failed = run([
      retrieved,
      draft,
      candidate('5', -0.9),
      candidate('6', -0.1),
      iteration(1, '6', -0.1),
    ])
    expect(moments(failed).map(([kind]) => kind)).toEqual(['draft', 'memory', 'step'])
    expect(hasMemoryLed(failed)).toBe(false)
    expect(moments(run([draft, candidate('5', -0.1)]))[1]?.[0]).toBe('step')
  })

  test('samples and branches are numbered; the fused judge outranks the reward', () => {
    const samples = [
      candidate('1', -0.1, { kind: 'sample', confidence: 0.2 }),
      candidate('2', -0.9, { kind: 'sample', confidence: 0.8 }),
    ]
    expect(moments(run(samples, 'majority'))).toEqual([
      ['sample', 1, '1', 'accepted'],
      ['sample', 2, '2', 'accepted'],
    ])
    expect(moments(run([draft, candidate('1', -0.9)], 'fork'))[1]).toEqual(['branch', 1, '1', 'rejected'])
  })

  test('the answer brings the terms of the draft, and everything to a request that was repeated', () => {
    const terms = { verifier: -0.7 }
    const known = [
      { ...(candidate('0', -0.7).data as object), kind: 'draft', text: 'ans 0', rewardTerms: terms },
      candidate('9', -0.1).data,
    ] as NonNullable<Solution['candidates']>
    const answer = { ...(SOLUTION as Solution), answer: '9', reward: -0.1, text: 'ans 9', candidates: known }
    for (const events of [[draft, candidate('9', -0.1)], []]) {
      const ended = run([...events, { event: 'answer', data: answer }])
      expect(ended.status).toBe('answered')
      expect(ended.answers[0]?.rewardTerms).toEqual(terms)
      expect(ended.best).toBe(1)
    }
  })
})

describe('the difference of two texts', () => {
  test.each([
    [
      'a b c',
      'a x c',
      [
        ['same', 'a'],
        ['removed', ' b'],
        ['added', ' x'],
        ['same', ' c'],
      ],
    ],
    ['a b', 'a b', [['same', 'a b']]],
    ['', 'new', [['added', 'new']]],
    ['old', '', [['removed', 'old']]],
    [
      'a a b',
      'a b',
      [
        ['same', 'a'],
        ['removed', ' a'],
        ['same', ' b'],
      ],
    ],
  ])('%j and %j', (before, after, pieces) => {
    expect(diffWords(before, after).map(({ kind, text }) => [kind, text])).toEqual(pieces)
  })

  test('both texts can be read back, also those that are too long to compare word by word', () => {
    const long = (word: string) =>
      Array.from({ length: 1_500 }, (_, index) => `${word}${index % 7}`).join(' \n')
    for (const [before, after] of [
      [long('a'), long('b')],
      ['left : 6 + 4 ; ans 1', 'times : 6 * 4 ; ans 5'],
    ] as const) {
      const pieces = diffWords(before, after)
      const without = (kind: string) =>
        pieces
          .filter((piece) => piece.kind !== kind)
          .map(({ text }) => text)
          .join('')
      expect(without('added')).toBe(before)
      expect(without('removed')).toBe(after)
    }
  })
})

describe('a request as code', () => {
  const request: SolveRequest = {
    question: `it's "7" $HOME \\ \u2028?`,
    strategy: 'fork',
    seed: 7,
    learn: false,
    budget: { maxMs: 500 },
  }

  test('the shell passes the body of curl as it is', () => {
    const code = asCode('curl', request, 'http://127.0.0.1:1', true)
    const script = `curl() { for last; do :; done; printf %s "$last"; }\n${code}`
    expect(JSON.parse(execFileSync('bash', ['-c', script], { encoding: 'utf8' }))).toEqual(request)
    expect(code).toContain('authorization: Bearer $API_KEY')
  })

  test('clients get strategy and seed where they have a place for them', () => {
    const python = asCode('openai-python', request, 'http://127.0.0.1:1', false)
    expect(python).toContain('model="circadian/fork"')
    expect(python).toContain(
      '    seed=7,\n    extra_body={"circadian": {"learn": False, "budget": {"maxMs": 500}}},',
    )
    expect(python).toContain('api_key="unused"')
    expect(asCode('TypeScript', request, 'http://127.0.0.1:1', true)).toContain('apiKey: process.env.API_KEY')
  })
})
