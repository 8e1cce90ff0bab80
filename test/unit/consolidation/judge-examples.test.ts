import { expect, suite, test } from 'vitest'
import type { StoredAnswer, TrainingStore } from '#episodes'
import {
  type JudgeAnswer,
  readJudgeAnswers,
  scoreStored,
  withholding,
} from '../../../src/consolidation/judge-examples.ts'
import { packed } from '../../support/episodes.ts'

const ANSWER: StoredAnswer = {
  tenantId: 'tenant-a',
  episodeId: 'e1',
  position: 0,
  question: 'What is 2 x 6?',
  strategy: 'majority',
  kind: 'sample',
  answer: '12',
  tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9],
  judgeFingerprint: 'judge of today',
  reward: -0.125,
  rewardTerms: { verifier: -0.25, 'verifier.correctness': -0.5 },
  logProbability: -0.3,
  selfCertainty: 8,
  answers: 5,
  alike: 3,
  thought: null,
  last: null,
  label: true,
  labelSource: 'reference',
  labelWeight: 1,
}
const thought = (value: number) => packed(Float32Array.of(value, 0), 1)

function read(stored: readonly StoredAnswer[], withModel = true) {
  const batches: number[] = []
  const asked: boolean[] = []
  const training: Pick<TrainingStore, 'labelledAnswers'> = {
    async *labelledAnswers(_fingerprint, _episodes, withThoughts) {
      asked.push(withThoughts)
      yield* stored
    },
  }
  const rewardModel = {
    score: async (thoughts: readonly { readonly data: Float32Array }[]) => {
      batches.push(thoughts.length)
      return thoughts.map(({ data }) => data[0]!)
    },
  }
  const placeOf = (_: unknown, question: string) => ({
    part: question.startsWith('unused') ? ('unused' as const) : ('calibration' as const),
    cluster: `cluster of ${question}`,
  })
  const options = { training, fingerprint: 'model-1', placeOf, signal: new AbortController().signal }
  const { signal } = options
  const confidencesOf = withModel ? scoreStored(rewardModel, { form: 'mean', engine: null, signal }) : null
  const found: JudgeAnswer[] = []
  const reading = readJudgeAnswers({ ...options, confidencesOf }, [], async (one) => void found.push(one))
  return { answers: reading.then(() => found), batches, asked }
}

test('estimates of answers that the reward model was trained on are withheld, and not computed', async () => {
  const scored: number[][] = []
  const confidencesOf = withholding(
    async (answers) => {
      scored.push(answers.map(({ position }) => position))
      return answers.map(({ position }) => (position === 3 ? null : position / 10))
    },
    ({ position }) => position % 2 === 0,
  )
  const answers = Array.from({ length: 5 }, (_, position) => ({ ...ANSWER, position }))
  expect(await confidencesOf(answers)).toEqual(['withheld', 0.1, 'withheld', null, 'withheld'])
  expect(scored).toEqual([[1, 3]])
})

suite('scores of stored answers by a reward model', () => {
  const { signal } = new AbortController()
  const answers = [
    { ...ANSWER, thought: thought(0.25), last: packed(Float32Array.of(0.5, 0), 1) },
    { ...ANSWER, position: 1, thought: thought(0.75) },
  ]

  test('of the form `last` read the states of the last token, and pass over answers without them', async () => {
    const score = async (thoughts: readonly { readonly last?: Float32Array }[]) =>
      thoughts.map(({ last }) => last![0]!)
    expect(await scoreStored({ score }, { form: 'last', engine: null, signal })(answers)).toEqual([0.5, null])
  })

  test('of the form `gated` feed answers again: without an engine there is no estimate, and no failure', async () => {
    const tokenMaps = { id: 'lrm-1' } as never
    const rewardModel = {
      tokenMaps,
      score: async () => {
        throw new Error('thoughts: expected states for the form gated, got none')
      },
    }
    const confidencesOf = scoreStored(rewardModel, { form: 'gated', engine: null, signal })
    expect(await confidencesOf(answers)).toEqual([null, null])
  })
})

suite('examples of the fused judge', () => {
  test('hold what was known when the answer was judged, the estimate of the reward model, and trust', async () => {
    const stored = [
      { ...ANSWER, thought: thought(0.25) },
      { ...ANSWER, position: 1 },
      { ...ANSWER, position: 2, thought: thought(0.75), labelSource: 'majority' as const, labelWeight: 0.6 },
    ]
    const { answers, asked } = read(stored)
    const [first, second, third] = await answers
    expect(first).toMatchObject({
      answer: { correct: true, verifier: -0.25, byMajority: false, cluster: 'cluster of What is 2 x 6?' },
      known: {
        reward: -0.125,
        terms: ANSWER.rewardTerms,
        logProbability: -0.3,
        selfCertainty: 8,
        confidence: 0.25,
        agreement: 0.5,
        tokens: 9,
      },
      part: 'calibration',
      weight: 1,
      source: 'reference',
      kind: 'sample',
      strategy: 'majority',
      place: { tenantId: 'tenant-a', episodeId: 'e1', position: 0 },
      byHand: { reward: -0.125, probability: 0.5 },
    })
    expect(second!.known.confidence).toBeNull()
    // Its label was made of the agreement.
    expect(third).toMatchObject({ known: { confidence: 0.75, agreement: 'withheld' }, weight: 0.3 })
    expect(asked).toEqual([true])
  })

  test('have the agreement that a request knows: of samples, not of a draft that it judged before them', async () => {
    const stored = [
      { ...ANSWER, kind: 'draft' as const },
      { ...ANSWER, kind: 'draft' as const, labelSource: 'majority' as const },
      { ...ANSWER, answers: 1, alike: 1, labelSource: 'majority' as const },
    ]
    const { answers } = read(stored)
    expect((await answers).map(({ known }) => known.agreement)).toEqual([null, null, null])
  })

  test('leave out unused questions, and are scored in small batches', async () => {
    const stored = Array.from({ length: 40 }, (_, position) => ({
      ...ANSWER,
      position,
      question: position === 3 ? 'unused' : 'used',
      thought: thought(position / 64),
    }))
    const { answers, batches } = read(stored)
    const found = await answers
    expect(found.map(({ place }) => place.position)).toEqual([...Array(40).keys()].filter((i) => i !== 3))
    for (const { known, place } of found) expect(known.confidence).toBe(place.position! / 64)
    expect(batches).toEqual([16, 16, 8])
  })

  test('ask for no thoughts without a reward model', async () => {
    const { answers, asked, batches } = read([ANSWER], false)
    expect((await answers)[0]!.known.confidence).toBeNull()
    expect([asked, batches]).toEqual([[false], []])
  })
})
