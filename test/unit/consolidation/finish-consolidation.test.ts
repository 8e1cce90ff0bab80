import { expect, test } from 'vitest'
import { buildReport } from '../../../src/consolidation/finish-consolidation.ts'
import { ARTIFACT, CONSOLIDATION } from '../../support/http-app.ts'

const started = Date.parse(CONSOLIDATION.startedAt ?? '')
const at = (seconds: number) => new Date(started + 1_000 * seconds)
const consolidation = { ...CONSOLIDATION, kinds: ['weaver', 'lrm'] as const, attempts: 2 }

const counts = { episodes: 10, pending: 1, unusable: 2, overShare: 0, overLimit: 0, kept: 7 }
const trained = {
  artifact: { ...ARTIFACT, kind: 'weaver', version: 'weaver-2', episodes: 6 },
  heldOut: [],
  losses: { 'validation.cold': 0.5 },
  rejected: { nearDuplicate: 1, calledWrong: 0 },
  trainerPeakBytes: 1_000,
}
const evidence = { questions: 3, sampled: 2, failed: 1, generatedTokens: 90, stopped: null }
const settled = {
  kind: 'weaver',
  version: 'weaver-2',
  status: 'rejected',
  reason: 'no gain',
  metrics: { reward: { value: -0.1, n: 4 } },
  baseline: { reward: { value: -0.2, n: 4 } },
}

test('reports for each kind the episodes, those left out, the figures and the outcome', () => {
  const report = buildReport({
    consolidation,
    steps: [
      { step: 'evidence', result: evidence, finishedAt: at(0.5).toISOString() },
      {
        step: 'snapshot.weaver',
        result: { episodes: [], counts, skipped: null },
        finishedAt: at(1).toISOString(),
      },
      { step: 'train.weaver', result: trained, finishedAt: at(31.26).toISOString() },
      { step: 'train.lrm', result: { skipped: 'no labelled answers' }, finishedAt: at(31.3).toISOString() },
      { step: 'promote.weaver', result: settled, finishedAt: at(40).toISOString() },
      { step: 'prune', result: { retired: 3 }, finishedAt: at(41).toISOString() },
    ],
    outcome: { status: 'rejected', artifacts: [], episodes: 7 },
    endedAt: at(42),
  })
  expect(report).toMatchObject({
    consolidationId: consolidation.id,
    status: 'rejected',
    error: null,
    seconds: 42,
    attempts: 2,
    trainerPeakBytes: 1_000,
    retired: 3,
    evidence,
    steps: [
      { step: 'evidence', seconds: 0.5 },
      { step: 'snapshot.weaver', seconds: 0.5 },
      { step: 'train.weaver', seconds: 30.3 },
      { step: 'train.lrm', seconds: 0 },
      { step: 'promote.weaver', seconds: 8.7 },
      { step: 'prune', seconds: 1 },
    ],
  })
  expect(report.artifacts).toEqual([
    {
      ...settled,
      form: null,
      losses: { 'validation.cold': 0.5 },
      episodes: { remembered: 10, learnedFrom: 6, leftOut: { pending: 1, unusable: 2, nearDuplicate: 1 } },
    },
    {
      kind: 'lrm',
      version: null,
      status: null,
      reason: null,
      form: null,
      losses: {},
      metrics: {},
      baseline: {},
      episodes: { remembered: 0, learnedFrom: 0, leftOut: {} },
    },
  ])
})

test('reports weights and policy of a fused judge', () => {
  const policy = [
    { effort: 'medium', from: 0, strategy: 'majority', samples: 4, questions: 40 },
    { effort: 'medium', from: 0.7, strategy: 'greedy', questions: 60 },
  ]
  const candidate = { ...trained, artifact: { ...trained.artifact, kind: 'judge' }, weights: { bias: 1 } }
  const reportOf = (result: object) =>
    buildReport({
      consolidation: { ...consolidation, kinds: ['judge'] },
      steps: [{ step: 'train.judge', result, finishedAt: at(1).toISOString() }],
      outcome: { status: 'rejected', artifacts: [], episodes: 7 },
      endedAt: at(2),
    }).artifacts[0]
  expect(reportOf({ ...candidate, policy })).toMatchObject({ weights: { bias: 1 }, policy })
  expect(reportOf(candidate)).not.toHaveProperty('policy')
})

test('reports the finished steps of a failed consolidation', () => {
  const report = buildReport({
    consolidation: { ...consolidation, startedAt: null },
    steps: [{ step: 'train.weaver', result: trained, finishedAt: at(30).toISOString() }],
    outcome: { status: 'failed', error: 'ENGINE_CRASHED: gone' },
    endedAt: at(40),
  })
  expect(report).toMatchObject({ status: 'failed', error: 'ENGINE_CRASHED: gone', retired: null })
  expect(report.startedAt).toBe(consolidation.createdAt)
  expect(report.artifacts[0]).toMatchObject({ version: 'weaver-2', status: null, metrics: ARTIFACT.metrics })
})
