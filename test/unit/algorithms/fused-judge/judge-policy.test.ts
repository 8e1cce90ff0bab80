import { describe, expect, test } from 'vitest'
import type { PolicyAnswer } from '#algorithms'
import { createRandom } from '#tensor'
import type { JudgeWeights } from '../../../../src/algorithms/fused-judge/fused-judge.ts'
import {
  chooseJudgePolicy,
  comparePolicies,
  measureArms,
  measureJudgePolicy,
} from '../../../../src/algorithms/fused-judge/judge-policy.ts'

const feature = (name: string) => ({ name, mean: 0, deviation: 1, weight: 1, missing: 0 })
/** P(correct) is the sigmoid of the log-probability. */
const WEIGHTS: JudgeWeights = { bias: 0, features: [feature('logProbability')] }
const logitOf = (probability: number) => Math.log(probability / (1 - probability))

interface Asked {
  readonly question: string
  readonly episode?: string
  readonly cluster?: string
  readonly source?: PolicyAnswer['source']
  readonly strategy?: string
}

/** An answer of which the judge says that it is right with probability `sure`. */
function answer(
  kind: PolicyAnswer['kind'],
  { question, episode = question, cluster = question, source = 'reference', strategy = 'majority' }: Asked,
  [correct, sure]: readonly [boolean, number],
): PolicyAnswer {
  return {
    kind,
    source,
    strategy,
    answer: {
      question,
      cluster,
      tenantId: 't',
      episodeId: `episode of ${episode}`,
      answer: correct ? '7' : '5',
      verifier: null,
      byMajority: false,
      correct,
    },
    known: {
      reward: -0.5,
      terms: {},
      logProbability: logitOf(sure),
      selfCertainty: null,
      confidence: null,
      agreement: null,
      tokens: 20,
    },
  }
}

const samplesOf = (asked: Asked, samples: readonly (readonly [boolean, number])[]) =>
  samples.map((one) => answer('sample', asked, one))

/** A draft, and samples of the same episode. */
const sampledBeside = (
  asked: Asked,
  [draft, ...samples]: readonly [readonly [boolean, number], ...(readonly [boolean, number])[]],
) => [answer('draft', asked, draft), ...samplesOf(asked, samples)]

/** The first `right` of `count` are right, and the judge doubts them. */
const bank = (count: number, right: number) =>
  Array.from({ length: count }, (_, index) => [index < right, 0.3] as const)

/**
 * Questions with a draft that is right as often as the judge says, and samples of which `right` are right where it doubts the
 * draft.
 */
function asked(questions: number, right: number, others = 8, over: Partial<Asked> = {}): PolicyAnswer[] {
  const random = createRandom(5)
  return Array.from({ length: questions }, (_, index) => {
    const sure = 0.01 + 0.98 * ((index % 50) / 50)
    const about = { question: `q${index}`, ...over }
    const draft = answer('draft', about, [random.uniform() < sure, sure])
    return [draft, ...samplesOf(about, bank(others, sure < 0.5 ? right : 0))]
  }).flat()
}

describe('the policy of a fused judge', () => {
  test('samples where the judge doubts the draft, and only there', () => {
    const { questions, policy, metrics } = chooseJudgePolicy(WEIGHTS, asked(200, 8))
    expect(questions).toBe(200)
    expect(policy).toMatchObject({
      signal: 'judge',
      medium: [
        // They all agree: the cheapest vote is as good.
        { from: 0, strategy: 'majority', samples: 2, accuracy: 1, tokens: 60 },
        { strategy: 'greedy', tokens: 20 },
      ],
    })
    expect(policy!.medium![1]!.from).toBeCloseTo(0.5, 1)
    const { 'policy.medium.gain': gain, 'policy.medium.tokens': tokens } = metrics
    expect(gain).toMatchObject({ n: 200 })
    expect(gain!.low).toBeGreaterThan(0.2)
    expect(tokens!.value).toBeGreaterThan(20)
    expect(tokens!.value).toBeLessThan(100)
  })

  test('lets the judge choose where it knows more than the vote, and stop where it is sure', () => {
    const samples = [...bank(2, 0), [true, 0.6] as const, ...bank(5, 0)]
    const answers = Array.from({ length: 60 }, (_, index) =>
      sampledBeside({ question: `q${index}` }, [[false, 0.2], ...samples]),
    ).flat()
    const { policy } = chooseJudgePolicy(WEIGHTS, answers)
    // Of the four orders of the samples, the third one is in the first two, the first four, and twice in the last four: the
    // draft, and 2, 4 or 8 samples, of 20 tokens each.
    expect(policy?.medium).toMatchObject([
      { strategy: 'best-of-n', samples: 8, selector: 'judge', stopAbove: 0.4, accuracy: 1, tokens: 130 },
    ])
  })

  test('ends where no answer is likely', () => {
    // Half of the questions have a sample that is right, beside others that are likely; the rest is hopeless.
    const answers = Array.from({ length: 120 }, (_, index) => {
      const others = Array.from({ length: 7 }, () => [false, index % 2 === 0 ? 0.3 : 0.02] as const)
      const last = [index % 2 === 0, index % 2 === 0 ? 0.9 : 0.02] as const
      return sampledBeside({ question: `q${index}` }, [[false, 0.3], ...others, last])
    }).flat()
    const hopeless = answers.map((one) =>
      one.kind === 'draft' && Number(one.answer.question.slice(1)) % 2 === 1
        ? { ...one, known: { ...one.known, logProbability: logitOf(0.02) } }
        : one,
    )
    const { policy } = chooseJudgePolicy(WEIGHTS, hopeless)
    expect(policy?.high?.find(({ strategy }) => strategy === 'best-of-n')).toMatchObject({ accuracy: 1 })
    const one: JudgeWeights = {
      ...WEIGHTS,
      policy: {
        signal: 'judge',
        medium: [{ from: 0, strategy: 'best-of-n', samples: 8, selector: 'judge', stopBelow: 0.05 }],
      },
    }
    const { 'policy.medium.gain': gain, 'policy.medium.tokens': tokens } = measureJudgePolicy(one, hopeless)
    // Nine answers of the likely ones, three of the hopeless.
    expect({ gain: gain!.value, tokens: tokens!.value }).toEqual({ gain: 0.5, tokens: 120 })
  })

  test('returns the draft where nothing pays, and is none of too few questions', () => {
    const stop = [{ from: 0, strategy: 'greedy', draftAccuracy: expect.any(Number) }]
    const { policy, metrics } = chooseJudgePolicy(WEIGHTS, asked(200, 0))
    expect(policy).toMatchObject({ low: stop, medium: stop, high: stop })
    expect(metrics['policy.medium.gain']).toMatchObject({ value: 0 })
    expect(chooseJudgePolicy(WEIGHTS, asked(29, 5))).toMatchObject({ questions: 29, policy: null })
    expect(chooseJudgePolicy(WEIGHTS, asked(200, 3, 3))).toMatchObject({ questions: 0, policy: null })
    expect(chooseJudgePolicy(WEIGHTS, [])).toMatchObject({ questions: 0, policy: null })
  })

  test.each(['majority', 'self', 'feedback'] as const)('reads no samples with labels of %s', (source) => {
    expect(chooseJudgePolicy(WEIGHTS, asked(200, 5, 8, { source }))).toMatchObject({ policy: null })
  })

  test('leaves out a question whose reference is overruled by feedback, also on a single sample', () => {
    const answers = asked(60, 5)
    const overruled = answers.with(1, { ...answers[1]!, source: 'feedback' })
    expect(chooseJudgePolicy(WEIGHTS, overruled)).toMatchObject({ questions: 59 })
  })

  test('keeps the draft where no sample has an answer, as a request does', () => {
    const silent = asked(60, 0).map((one, index) => {
      const isFirst = index % 9 === 0
      const answer = { ...one.answer, correct: isFirst, answer: isFirst ? '7' : null }
      return { ...one, answer }
    })
    const policy = { signal: 'judge', medium: [{ from: 0, strategy: 'majority', samples: 4 }] } as const
    const judge = { ...WEIGHTS, policy: { ...policy, medium: [...policy.medium] } }
    expect(measureJudgePolicy(judge, silent)['policy.medium.gain']).toMatchObject({ value: 0, n: 60 })
  })

  test('leaves out samples that a policy took because the draft was doubtful', () => {
    expect(chooseJudgePolicy(WEIGHTS, asked(200, 5, 8, { strategy: 'auto' }))).toMatchObject({ questions: 0 })
  })

  test('takes no sample for the draft', () => {
    const withoutDraft = asked(200, 5).filter(({ kind }) => kind === 'sample')
    expect(chooseJudgePolicy(WEIGHTS, withoutDraft)).toMatchObject({ questions: 0 })
  })

  test('has the draft of another episode of the question, where the own one has none', () => {
    const ofOthers = Array.from({ length: 200 }, (_, index) =>
      answer('draft', { question: `q${index}`, episode: `before q${index}` }, [index % 2 === 0, 0.9]),
    )
    const answers = asked(200, 0, 7).filter(({ kind }) => kind === 'sample')
    const { policy, questions } = chooseJudgePolicy(WEIGHTS, [...ofOthers, ...answers])
    expect(questions).toBe(200)
    expect(policy?.medium).toMatchObject([{ from: 0, strategy: 'greedy' }])
    // Sure drafts that are wrong, and samples that are right.
    const right = answers.map((one) => ({ ...one, answer: { ...one.answer, answer: '7', correct: true } }))
    expect(chooseJudgePolicy(WEIGHTS, [...ofOthers, ...right]).policy?.medium).toMatchObject([
      { from: 0, strategy: 'majority', draftAccuracy: 0.5, accuracy: 1, questions: 200 },
    ])
  })

  test('is compared with the vote that serves where the rival has none', () => {
    const answers = asked(60, 5)
    const policy = { signal: 'judge' as const, medium: [{ from: 0, strategy: 'greedy' as const }] }
    const pairs = comparePolicies({ ...WEIGHTS, policy }, null, answers)
    const { arms } = measureArms(WEIGHTS, answers).questions[0]!
    expect(pairs).toHaveLength(60)
    expect(pairs[0]!.theirs).toBe(arms['majority of up to 8, until 3 votes']!.accuracy)
    expect(comparePolicies({ ...WEIGHTS, policy }, { ...WEIGHTS, policy }, answers)[0]!.theirs).toBe(
      pairs[0]!.mine,
    )
  })

  test('counts near-duplicates once', () => {
    const twins = asked(100, 5).concat(asked(100, 5).map((one) => withEpisode(one, 'twin')))
    expect(chooseJudgePolicy(WEIGHTS, twins).questions).toBe(100)
  })

  const withEpisode = (one: PolicyAnswer, name: string): PolicyAnswer => ({
    ...one,
    answer: { ...one.answer, episodeId: `${name} ${one.answer.episodeId}`, question: `${name} of it` },
  })

  test('has arms of as many samples as nearly all questions have', () => {
    /** Draft and first two are wrong, all others right: four samples do not outvote them. */
    const late = (others: number) => Array.from({ length: others }, (_, index) => [index > 1, 0.3] as const)
    const askedLate = (questions: number, others: number, name: string) =>
      Array.from({ length: questions }, (_, index) =>
        sampledBeside({ question: `${name}${index}` }, [[false, 0.2], ...late(others)]),
      ).flat()
    const samplesIn = (answers: readonly PolicyAnswer[]) => {
      const { policy, questions } = chooseJudgePolicy(WEIGHTS, answers)
      return { questions, samples: policy?.high?.[0]?.samples }
    }
    expect(samplesIn(askedLate(60, 7, 'q'))).toEqual({ questions: 60, samples: 7 })
    expect(samplesIn([...askedLate(60, 8, 'q'), ...askedLate(10, 5, 'r')])).toEqual({
      questions: 60,
      samples: 8,
    })
    expect(samplesIn([...askedLate(60, 8, 'q'), ...askedLate(60, 6, 'r')])).toEqual({
      questions: 120,
      samples: 6,
    })
  })

  test('computes the agreement of the draft and the samples of an arm', () => {
    const agreeing: JudgeWeights = {
      bias: 0,
      features: [{ ...feature('agreement'), weight: 4, missing: -3 }],
    }
    const answers = Array.from({ length: 60 }, (_, index) =>
      sampledBeside({ question: `q${index}` }, [
        [false, 0.5],
        [true, 0.5],
        [false, 0.5],
        [true, 0.5],
        [true, 0.5],
      ]),
    ).flat()
    for (const { draft, arms } of measureArms(agreeing, answers).questions) {
      expect(draft.accuracy).toBe(0)
      expect(arms['best of 4 by judge']?.accuracy).toBe(1)
    }
    // The vote that `auto` takes without a policy is right as well, at fewer tokens.
    expect(chooseJudgePolicy(agreeing, answers).policy?.medium).toBeUndefined()
    const measured = measureJudgePolicy(
      {
        ...agreeing,
        policy: {
          signal: 'judge',
          medium: [
            { from: 0, strategy: 'best-of-n', samples: 4, selector: 'judge' },
            // The draft has a P(correct) of .05 without an agreement, and of .5 with one of 0.
            { from: 0.3, strategy: 'greedy' },
          ],
        },
      },
      answers,
    )
    expect(measured['policy.medium.gain']).toMatchObject({ value: 1, n: 60 })
  })
})

describe('where callers use `auto` and give feedback', () => {
  /** Asked by a request: the draft was returned, and feedback calls it right or wrong. */
  const returned = (question: string, draft: readonly [boolean, number]) =>
    answer('draft', { question, episode: `request ${question}`, source: 'feedback', strategy: 'auto' }, draft)
  /** Sampled by a night, which knew the answer of a caller. */
  const sampled = (question: string, draft: readonly [boolean, number], right: number) =>
    sampledBeside({ question }, [draft, ...bank(8, right)])
  const questions = Array.from({ length: 60 }, (_, index) => `q${index}`)

  test('samples of the night are measured', () => {
    const answers = questions.flatMap((question) => {
      const draft = [false, 0.2] as const
      return [returned(question, draft), ...sampled(question, draft, 5)]
    })
    expect(chooseJudgePolicy(WEIGHTS, answers)).toMatchObject({
      questions: 60,
      policy: { medium: [{ from: 0, strategy: 'majority', draftAccuracy: 0, accuracy: 1 }] },
    })
  })

  test('answers that are only known to be wrong count against every arm', () => {
    const known = questions.flatMap((question) => sampled(question, [false, 0.2], 8))
    // An answer of a search was returned, and called wrong. The draft, which said otherwise, may have been right.
    const refuted = questions.flatMap((name) => {
      const asked = { question: `other ${name}`, strategy: 'auto' }
      const wrong = answer('regeneration', { ...asked, source: 'feedback' }, [false, 0.4])
      const draft = answer('draft', { ...asked, source: 'self' }, [true, 0.2])
      return [{ ...draft, answer: { ...draft.answer, answer: '6', correct: false } }, wrong]
    })
    const { questions: count, policy } = chooseJudgePolicy(WEIGHTS, [...known, ...refuted])
    // The arms gain what they lose.
    expect({ count, policy }).toEqual({ count: 120, policy: null })
    // The draft itself was called wrong: nothing is known to gain, and nothing is lost.
    const wrong = questions.map((name) => returned(`third ${name}`, [false, 0.2]))
    expect(chooseJudgePolicy(WEIGHTS, [...known, ...wrong])).toMatchObject({
      questions: 120,
      policy: { medium: [{ draftAccuracy: 0, accuracy: 0.5, tokens: 60 }] },
    })
  })

  test('labels that contradict each other leave the question out', () => {
    const answers = questions.flatMap((question) => sampled(question, [false, 0.2], 5))
    expect(chooseJudgePolicy(WEIGHTS, [...answers, returned('q0', [true, 0.9])]).questions).toBe(60)
    const refuted = answer('draft', { question: 'q0', episode: 'later', source: 'feedback' }, [true, 0.9])
    const later = { ...refuted, answer: { ...refuted.answer, correct: false } }
    expect(chooseJudgePolicy(WEIGHTS, [...answers, later]).questions).toBe(59)
  })
})

describe('a policy on other answers', () => {
  const { policy } = chooseJudgePolicy(WEIGHTS, asked(200, 8))
  const judge: JudgeWeights = { ...WEIGHTS, policy: policy! }

  test('gains and costs what its bands give', () => {
    const measured = measureJudgePolicy(judge, asked(100, 8))
    expect(measured['policy.medium.gain']).toMatchObject({ n: 100 })
    expect(measured['policy.medium.gain']!.value).toBeGreaterThan(0.2)
    expect(measured['policy.medium.tokens']!.value).toBeCloseTo(40, -1)
    // Where the samples are all wrong, it loses the drafts that were right.
    expect(measureJudgePolicy(judge, asked(100, 0))['policy.medium.gain']!.value).toBeLessThan(0)
  })

  test('is not measured without one, or without questions', () => {
    expect(measureJudgePolicy(WEIGHTS, asked(100, 5))).toEqual({})
    expect(measureJudgePolicy(judge, [])).toEqual({})
    expect(measureJudgePolicy(judge, asked(100, 3, 3))).toEqual({})
  })
})
