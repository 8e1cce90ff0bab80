import { expect, test } from 'vitest'
import type { Artifact } from '#artifacts'
import type { StoredAnswer, TrainingStore } from '#episodes'
import { createRandom } from '#tensor'
import type { TrainingContext, TrialOptions } from '../../../src/consolidation/artifact-training.ts'
import { JUDGE_TRAINING } from '../../../src/consolidation/judge-training.ts'
import { graphRunner } from '../../support/graph-runner.ts'
import { ARTIFACT } from '../../support/http-app.ts'

const { signal } = new AbortController()
const EACH = 4
/** A draft and eight samples. */
const BANK = 9

/** Answers to questions, half of them right; the verifier knows something, the log-probability more. */
function answersTo(questions: number, over: Partial<StoredAnswer> = {}): StoredAnswer[] {
  const random = createRandom(6)
  return Array.from({ length: questions * EACH }, (_, index) => {
    const question = Math.floor(index / EACH)
    const label = index % 2 === 0
    const noise = () => random.gaussian()
    const verifier = -1 / (1 + Math.exp((label ? 0.5 : -0.5) + noise()))
    return {
      tenantId: 'tenant-a',
      episodeId: `episode-${question}`,
      position: index % EACH,
      question: `question ${question}`,
      kind: 'sample',
      strategy: 'majority',
      answer: label ? '1' : '2',
      tokens: [1, 2, 3],
      judgeFingerprint: 'today',
      reward: verifier,
      rewardTerms: { verifier },
      logProbability: (label ? 1.5 : -1.5) + noise(),
      selfCertainty: null,
      answers: EACH,
      alike: 2,
      thought: null,
      last: null,
      label,
      labelSource: 'reference',
      labelWeight: 1,
      ...over,
    }
  })
}

function contextOf(stored: readonly StoredAnswer[]) {
  const training = {
    async *labelledAnswers(_fingerprint, episodes) {
      const wanted = new Set(episodes.map(({ episodeId }) => episodeId))
      yield* stored.filter(({ episodeId }) => wanted.has(episodeId))
    },
  } satisfies Pick<TrainingStore, 'labelledAnswers'>
  const partOf = (question: string) => (Number(question.split(' ')[1]) % 2 === 0 ? 'train' : 'heldOut')
  const unused = () => {
    throw new Error('judge: expected no call')
  }
  return {
    training: { ...training, labelledThoughts: unused, latentPairs: unused, heldOutQuestions: unused },
    fingerprint: 'model-1',
    split: {
      placeOf: (_episode, question) => ({ part: partOf(question), cluster: question }),
      episodesOf: () => [],
    },
    runner: graphRunner(),
    seed: 1,
    signal,
    report() {},
    active: null,
    openReplayEngine: unused,
    logger: { info() {}, warn() {} },
    rewardModel: async () => null,
  } satisfies TrainingContext
}

const keysOf = (stored: readonly StoredAnswer[]) =>
  [...new Set(stored.map(({ episodeId }) => episodeId))].map((episodeId) => ({
    tenantId: 'tenant-a',
    episodeId,
  }))

async function trained(stored: readonly StoredAnswer[]) {
  const result = await JUDGE_TRAINING.train(contextOf(stored), keysOf(stored))
  if ('skipped' in result) throw new Error(result.skipped)
  return result
}

function versionOf(number: number, bytes: Uint8Array, judgeFingerprint = 'today') {
  const artifact: Artifact = {
    ...ARTIFACT,
    kind: 'judge',
    version: `judge-${number}`,
    features: { judgeFingerprint },
    metrics: {},
  }
  return { artifact, bytes }
}

test('is fitted to answers of the judge of today alone: rewards of another do not compare', async () => {
  const today = answersTo(80)
  // Under the judge of before, the verifier said the opposite.
  const before = answersTo(80, { judgeFingerprint: 'before' }).map((one) => ({
    ...one,
    episodeId: `${one.episodeId} before`,
    label: !one.label,
  }))
  const fitted = await trained([...today, ...before])
  const alone = await trained(today)
  expect(fitted.manifest.features).toMatchObject({ judgeFingerprint: 'today', rewardModel: 'none' })
  expect(fitted.weights).toEqual(alone.weights)
  expect(fitted.weights).toMatchObject({ reward: expect.any(Number), logProbability: expect.any(Number) })
  expect(fitted.rejected).toMatchObject({ otherJudge: 80 })
  expect(fitted.heldOut).toEqual(alone.heldOut)
  expect(fitted.manifest.episodes).toHaveLength(40)
})

test('is compared with the weighting of the profile, or with a version that was fitted under the same judge', async () => {
  const stored = answersTo(120)
  const { bytes, heldOut } = await trained(stored)
  const { split: _, active: __, ...context } = contextOf(stored)
  const judging = (over: Partial<TrialOptions>) => {
    const options: TrialOptions = {
      ...context,
      candidate: versionOf(2, bytes),
      incumbent: null,
      anchor: null,
      hasAnchor: false,
      heldOut,
      locked: heldOut.slice(0, 8),
      fusedJudge: async () => null,
      recorded: (_part, work) => work(),
      episodes: {} as never,
      ...over,
    }
    return JUDGE_TRAINING.judge(options)
  }
  const first = await judging({})
  expect(first).toMatchObject({ promoted: true, isAnchor: true })
  expect(first.reason).toMatch(/AUC improves over the weighting of the profile/)
  expect(first.metrics['locked.brier']).toMatchObject({ n: 2 })

  const same = await judging({ incumbent: versionOf(1, bytes), hasAnchor: true })
  expect(same).toMatchObject({ promoted: false, reason: 'no measurable improvement over the active one' })

  const other = await judging({ incumbent: versionOf(1, bytes, 'before'), hasAnchor: true })
  expect(other.reason).toBe(first.reason)
})

/** Answers to questions that are easy or hard: drafts of hard ones are right by chance, and most of the others are right. */
function banksOf(questions: number): StoredAnswer[] {
  const random = createRandom(8)
  return Array.from({ length: questions }, (_, question) => {
    const isHard = question % 4 < 2
    return Array.from({ length: BANK }, (__, position): StoredAnswer => {
      const label = isHard ? (position === 0 ? random.uniform() < 0.3 : position % 3 !== 0) : true
      return {
        ...answersTo(1)[0]!,
        episodeId: `episode-${question}`,
        question: `question ${question}`,
        position,
        kind: position === 0 ? 'draft' : 'sample',
        answer: label ? '1' : `wrong ${position}`,
        logProbability: (isHard ? -1 : 1) + (label ? 0.3 : -0.3) + 0.3 * random.gaussian(),
        label,
        answers: BANK - 1,
        alike: isHard ? 5 : BANK - 1,
      }
    })
  }).flat()
}

test('has a policy, which the gate measures on questions that it was not chosen on', async () => {
  const stored = banksOf(240)
  const { bytes, policy = [], metrics, manifest, heldOut } = await trained(stored)
  expect(manifest.options).toMatchObject({ policyQuestions: 120 })
  const medium = policy.filter(({ effort }) => effort === 'medium')
  expect(medium).toMatchObject([{ from: 0, strategy: 'majority', samples: 4 }, { strategy: 'greedy' }])
  expect(JSON.parse(new TextDecoder().decode(bytes)).policy.medium[0]).toMatchObject({
    strategy: 'majority',
    questions: medium[0]!.questions,
  })
  expect(metrics['policy.medium.gain']).toMatchObject({ n: 120 })
  const { split: _, active: __, ...context } = contextOf(stored)
  const verdict = await JUDGE_TRAINING.judge({
    ...context,
    candidate: { ...versionOf(2, bytes), artifact: { ...versionOf(2, bytes).artifact, metrics } },
    incumbent: null,
    anchor: null,
    hasAnchor: false,
    heldOut,
    locked: heldOut.slice(0, 40 * BANK),
    fusedJudge: async () => null,
    recorded: (_part, work) => work(),
    episodes: {} as never,
  })
  expect(verdict.metrics).toMatchObject({
    'policy.medium.gain': { n: 120 },
    'heldOut.policy.medium.gain': { n: 120 },
    'locked.policy.medium.gain': { n: 40 },
    'locked.policy.medium.tokens': { n: 40 },
  })
  expect(verdict.metrics['heldOut.policy.medium.gain']!.low).toBeGreaterThan(0)
})

test('has no policy without samples enough', async () => {
  expect(await trained(answersTo(120))).toMatchObject({ policy: [], metrics: {} })
})
