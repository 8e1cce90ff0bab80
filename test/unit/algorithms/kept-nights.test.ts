/** @file Nights over kept answers: what `npm run bench:judge` holds. */

import { expect, test } from 'vitest'
import type { AnswerRecord, JudgedSample } from '#evaluation'
import { createRandom } from '#tensor'
import { joinAnswers, type KeptQuestion } from '../../../bench/judge/answers.ts'
import { holdNights } from '../../../bench/judge/nights.ts'

function candidate(kind: JudgedSample['kind'], right: boolean, logProbability: number): JudgedSample {
  return {
    kind,
    answer: right ? '1' : '2',
    right,
    reward: -0.3,
    rewardTerms: { verifier: -0.3, 'verifier.correctness': -0.3 },
    logProbability,
    selfCertainty: 10,
    confidence: null,
    lrm: null,
    tokens: 20,
  } as JudgedSample
}

/** Three days whose right answers have a higher log-probability; `noise` hides it. */
function createDays(noise: number): readonly KeptQuestion[] {
  const random = createRandom(7)
  return Array.from({ length: 390 }, (_, index) => {
    const of = (kind: JudgedSample['kind']) => {
      const right = random.uniform() < 0.5
      return candidate(kind, right, (right ? -0.1 : -0.4) + noise * (random.uniform() - 0.5))
    }
    return {
      problem: `question ${index}`,
      day: 1 + (index % 3),
      draft: of('draft'),
      samples: Array.from({ length: 8 }, () => of('sample')),
    }
  })
}

test('a night promotes a judge that orders answers by a signal of them, and later ones stay with it', async () => {
  const nights = await holdNights(createDays(0.2), 1)
  expect(nights.map(({ night, answers }) => [night, answers])).toEqual([
    [1, 1170],
    [2, 2340],
    [3, 3510],
  ])
  expect(nights[0]).toMatchObject({ promoted: true, reason: expect.stringMatching(/improves over/) })
  const [sure, unsure] = await nights[2]!.serving!.score(
    [-0.1, -0.4].map((logProbability) => ({
      reward: -0.3,
      terms: { verifier: -0.3, 'verifier.correctness': -0.3 },
      logProbability,
      selfCertainty: 10,
      confidence: null,
      agreement: 0.5,
      tokens: 20,
    })),
  )
  expect(sure).toBeGreaterThan(0.8)
  expect(unsure).toBeLessThan(0.2)
})

test('a night promotes nothing where no signal tells right from wrong', async () => {
  const days = createDays(0).map((question, index) => {
    const blind = (one: JudgedSample, place: number): JudgedSample => ({
      ...one,
      answer: String((index + place) % 3),
      logProbability: -0.2,
    })
    return { ...question, draft: blind(question.draft, 0), samples: question.samples.map(blind) }
  })
  const nights = await holdNights(days, 1)
  expect(nights.map(({ promoted }) => promoted)).toEqual([false, false, false])
  expect(nights[2]!.serving).toBeNull()
})

test('samples without a judged draft are refused by the name of their problem', () => {
  const record = (problem: string, kind: JudgedSample['kind']) =>
    ({ problem, candidates: [candidate(kind, true, -0.1)] }) as unknown as AnswerRecord
  const sampled = [record('a', 'sample'), record('b', 'sample')]
  expect(
    joinAnswers(
      sampled,
      ['a', 'b'].map((name) => record(name, 'draft')),
    ),
  ).toHaveLength(2)
  expect(() => joinAnswers(sampled, [record('a', 'draft')])).toThrow('expected a judged draft of b')
})
