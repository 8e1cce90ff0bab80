/** @file Builds the real HTTP service on a scripted solver and in-memory stores. */

import responseValidation from '@fastify/response-validation'
import { Ajv, type AnySchema, type ValidateFunction } from 'ajv'
import pino from 'pino'
import type { Artifact, Consolidation, LearningState, NightReport } from '#artifacts'
import type { Deletion, EpisodeDetail, EpisodeStore, Feedback, LearningDay } from '#episodes'
import { ServiceError } from '#errors'
import { type AppDeps, buildApp } from '#http'
import type { Solution, SolveOptions, SolveRequest, Solver } from '#solving'
import { COMPONENTS } from '../../src/http/schemas/index.ts'

export const QUESTION = 'Eve at the till: 6 + 4 * 7 - 4 - 5 = ?'

export const SOLUTION: Solution = {
  id: '0198f2c4-7a51-7c3e-9f0b-5d2f6a8e1c47',
  episodeId: '0198f2c4-7b02-7d11-8a3c-0e4b9c7d2f15',
  answer: '1',
  reasoning: 'left : 6 + 4 * 7 - 4 - 5 ; 6 + 4 = 0 , 0 * 7 = 0 , 0 - 4 = 6 , 6 - 5 = 1 ; answer 1',
  text: 'left : 6 + 4 * 7 - 4 - 5 ; 6 + 4 = 0 , 0 * 7 = 0 , 0 - 4 = 6 , 6 - 5 = 1 ; answer 1',
  thought: null,
  finish: 'end',
  reward: -0.04,
  confidence: 0.93,
  stopped: 'reward',
  strategy: 'auto',
  base: { answer: null, reward: -0.97 },
  improved: true,
  iterations: 2,
  evaluations: 1,
  rewardHistory: [-0.97, -0.04],
  retrieved: [{ episodeId: '0198f2c4-0000-7d11-8a3c-0e4b9c7d2f15', similarity: 0.93, weight: 1 }],
  model: {
    id: 'order-of-operations',
    fingerprint: 'f00d',
    weaverVersion: null,
    lrmVersion: '3',
    judgeVersion: null,
  },
  seed: 2 ** 53 - 1,
  usage: { promptTokens: 24, cachedTokens: 16, completionTokens: 41, generatedTokens: 83, rewardTokens: 2 },
  timings: { queueMs: 0.2, retrieveMs: 1.9, draftMs: 31.4, optimizeMs: 42.8, rewardMs: 5.1, totalMs: 84.6 },
  degraded: ['lrm'],
  candidates: [
    {
      kind: 'draft',
      text: 'left : 6 + 4 * 7',
      answer: null,
      reward: -0.97,
      rewardTerms: { verifier: -0.97, format: 0 },
      logProbability: -0.2,
      selfCertainty: 11.5,
      confidence: null,
      lrm: null,
      tokens: 41,
    },
  ],
  latents: [{ step: 0, x: 0.5, y: -1, reward: -0.97, answer: null, text: 'left : 6 + 4 * 7' }],
}

export const EPISODE: EpisodeDetail = {
  id: SOLUTION.episodeId ?? '',
  createdAt: '2026-03-01T08:30:00.125Z',
  modelId: 'order-of-operations',
  strategy: 'auto',
  question: QUESTION,
  answer: '1',
  reward: -0.04,
  baseReward: null,
  iterations: 2,
  admitted: true,
  steering: 'steers',
  status: 'indexed',
  label: null,
  labelSource: null,
  fingerprint: 'f00d',
  judgeFingerprint: 'cafe',
  reasoning: SOLUTION.reasoning,
  reference: null,
  evaluations: 1,
  generatedTokens: 83,
  stopped: 'reward',
  seed: 7,
  weaverVersion: 'weaver-2',
  lrmVersion: null,
  judgeVersion: null,
  candidates: [
    {
      kind: 'draft',
      tokens: [4, 8, 15],
      text: SOLUTION.reasoning,
      answer: '1',
      reward: -0.04,
      rewardTerms: { verifier: -0.04 },
      logProbability: -0.1,
      selfCertainty: 12.5,
      chosen: true,
      label: true,
      labelSource: 'self',
    },
  ],
}

export const DELETION: Deletion = {
  id: '0198f2c4-dddd-7d11-8a3c-0e4b9c7d2f15',
  status: 'queued',
  requestedAt: '2026-03-02T08:00:00.000Z',
  startedAt: null,
  finishedAt: null,
  deleted: { episodes: 0, candidates: 0, thoughts: 0, latents: 0, jobs: 0 },
  withdrawn: 0,
  artifacts: [],
}

const FINISHED: Partial<Deletion> = {
  status: 'finished',
  startedAt: '2026-03-02T08:00:00.500Z',
  finishedAt: '2026-03-02T08:00:01.500Z',
  deleted: { episodes: 1, candidates: 2, thoughts: 2, latents: 1, jobs: 1 },
  withdrawn: 1,
  artifacts: ['0198f2c4-aaaa-7d11-8a3c-0e4b9c7d2f15'],
}

/** What the scripted solver recalls; the episode is not one of every tenant. */
const RECALLED = [{ episodeId: EPISODE.id, similarity: 0.875 }]

export type Script = (request: SolveRequest, options: SolveOptions) => Promise<Solution>

/** Creates a solver that follows a script and records its requests. */
export function scriptedSolver(script: Script = async () => SOLUTION) {
  const requests: SolveRequest[] = []
  const solver: Solver = {
    modelId: SOLUTION.model.id,
    check() {},
    solve(request, options) {
      requests.push(request)
      return script(request, options)
    },
    recall: async ({ question, topK }) => ({
      neighbours: RECALLED.slice(0, topK),
      promptTokens: question.length,
    }),
    answerKeys: {
      rules: 'answers-1',
      keyOf: (answer) => answer.trim().toLowerCase() || null,
      keyIn: (text) => text.trim().toLowerCase() || null,
    },
  }
  return { solver, requests }
}

/** Creates an in-memory episode store from episodes by tenant, newest first. */
export function memoryStore(episodesOf: Record<string, EpisodeDetail[]> = { default: [EPISODE] }) {
  const labelled: { tenantId: string; id: string; feedback: Feedback }[] = []
  const find = (tenantId: string, id: string) => {
    const episode = episodesOf[tenantId]?.find((candidate) => candidate.id === id)
    if (episode === undefined) throw new ServiceError('EPISODE_NOT_FOUND', `get: no episode ${id}`)
    return episode
  }
  const unused = () =>
    Promise.reject(new Error('episode store: expected no call of this method by http, got one'))
  const episodes: EpisodeStore = {
    add: unused,
    index: unused,
    nearest: unused,
    recollect: unused,
    async list(tenantId, { limit, cursor = '0' }) {
      const all = episodesOf[tenantId] ?? []
      const start = Number(cursor)
      const next = start + limit
      return { episodes: all.slice(start, next), nextCursor: next < all.length ? String(next) : null }
    },
    find: async (tenantId, ids) => (episodesOf[tenantId] ?? []).filter(({ id }) => ids.includes(id)),
    get: async (tenantId, id) => find(tenantId, id),
    async influence(tenantId, id) {
      const episode = find(tenantId, id)
      const artifacts = [{ id: '0198f2c4-aaaa-7d11-8a3c-0e4b9c7d2f15', version: 'lrm-2', active: true }]
      return { ledBy: [episode], led: [], deletion: { withdrawn: 2, released: 1, artifacts } }
    },
    async map(tenantId, { limit }) {
      const points = (episodesOf[tenantId] ?? []).slice(0, limit).map((episode) => ({
        id: episode.id,
        question: episode.question,
        answer: episode.answer,
        reward: episode.reward,
        steers: episode.steering === 'steers',
        label: episode.label,
        x: 0.5,
        y: -0.25,
      }))
      return { points, explained: [0.5, 0.25] }
    },
    async label(tenantId, id, feedback, keys = null) {
      const episode = find(tenantId, id)
      labelled.push({ tenantId, id, feedback })
      const answer = episode.answer && keys !== null ? keys.keyOf(episode.answer) : episode.answer
      return { ...episode, answer, label: true, labelSource: 'feedback' }
    },
    async remove(tenantId, id) {
      find(tenantId, id)
      episodesOf[tenantId] = (episodesOf[tenantId] ?? []).filter((episode) => episode.id !== id)
    },
    async removeAll(tenantId) {
      episodesOf[tenantId] = []
      return DELETION
    },
    async deletion(tenantId, id) {
      if (tenantId === 'default' && id === DELETION.id) return { ...DELETION, ...FINISHED }
      throw new ServiceError('DELETION_NOT_FOUND', `get: no deletion ${id}`)
    },
  }
  return { episodes, labelled }
}

export const ARTIFACT: Artifact = {
  id: '0198f2c4-aaaa-7d11-8a3c-0e4b9c7d2f15',
  kind: 'lrm',
  version: 'lrm-2',
  fingerprint: 'f00d',
  sha256: 'c0ffee',
  bytes: 123_456,
  status: 'promoted',
  passed: true,
  active: true,
  activatedBy: 'promotion',
  rolledBackAt: null,
  stale: false,
  erasedEpisodes: 0,
  expiredEpisodes: 2,
  available: true,
  createdAt: '2026-03-02T03:04:05.678Z',
  consolidationId: '0198f2c4-bbbb-7d11-8a3c-0e4b9c7d2f15',
  reason: null,
  metrics: { auc: { value: 0.91, n: 480, low: 0.88, high: 0.94 } },
  baseline: {},
  features: { layers: 5, width: 128 },
  episodes: 320,
}

export const CONSOLIDATION: Consolidation = {
  id: ARTIFACT.consolidationId,
  fingerprint: 'f00d',
  status: 'promoted',
  artifacts: [
    {
      kind: 'lrm',
      version: 'lrm-2',
      status: 'promoted',
      reason: 'AUC 0.910 is above .5',
      metrics: ARTIFACT.metrics,
      baseline: {},
    },
  ],
  kinds: ['lrm'],
  force: false,
  trigger: 'request',
  progress: 1,
  step: 'promote',
  createdAt: '2026-03-02T03:00:00.000Z',
  startedAt: '2026-03-02T03:00:00.250Z',
  finishedAt: '2026-03-02T03:04:05.700Z',
  episodes: 400,
  attempts: 1,
  error: null,
}

export const REPORT: NightReport = {
  consolidationId: CONSOLIDATION.id,
  fingerprint: 'f00d',
  trigger: 'schedule',
  status: 'promoted',
  error: null,
  startedAt: '2026-03-02T03:00:00.250Z',
  endedAt: '2026-03-02T03:04:05.700Z',
  seconds: 245.5,
  attempts: 2,
  steps: [
    { step: 'snapshot.weaver', seconds: 0.1 },
    { step: 'train.weaver', seconds: 31.4 },
    { step: 'prune', seconds: 2 },
  ],
  trainerPeakBytes: 305_135_616,
  evidence: {
    questions: 20,
    sampled: 18,
    failed: 1,
    generatedTokens: 9_000,
    stopped: 'time limit of 15 min reached',
  },
  artifacts: [
    {
      kind: 'weaver',
      version: 'weaver-3',
      status: 'promoted',
      reason: 'firstPass rises: +0.120 (0.050 to 0.190, n = 150)',
      episodes: { remembered: 400, learnedFrom: 320, leftOut: { unusable: 70, nearDuplicate: 10 } },
      losses: { 'validation.warm': 0.0123456, 'validation.cold': 0.02 },
      metrics: { firstPass: { value: 0.9, n: 150, low: 0.85, high: 0.94 }, explained: { value: 0.5, n: 80 } },
      baseline: { firstPass: { value: 0.78, n: 150, low: 0.71, high: 0.84 } },
    },
    {
      kind: 'lrm',
      version: null,
      status: 'skipped',
      reason: 'one class only: all 8 | 8 answers are right',
      episodes: { remembered: 400, learnedFrom: 0, leftOut: {} },
      losses: {},
      metrics: {},
      baseline: {},
    },
  ],
  retired: 12,
}

export const LEARNING_DAYS: readonly LearningDay[] = [
  {
    day: '2026-03-01',
    strategy: 'auto',
    weaverVersion: 'none',
    lrmVersion: null,
    judgeVersion: null,
    episodes: 40,
    labelled: 20,
    right: 12,
    firstPass: 10,
    steps: 120,
    tokens: 4_800,
  },
  {
    day: '2026-03-02',
    strategy: 'auto',
    weaverVersion: 'weaver-1',
    lrmVersion: 'lrm-1',
    judgeVersion: 'judge-1',
    episodes: 50,
    labelled: 30,
    right: 24,
    firstPass: 20,
    steps: 90,
    tokens: 5_000,
  },
]

type AuditCall = Awaited<ReturnType<AppDeps['admin']['audit']['list']>>[number]

/** Creates in-memory stores of consolidations, artifacts and calls. */
export function memoryConsolidations({
  consolidations = [CONSOLIDATION],
  artifacts = [ARTIFACT],
  report = REPORT,
}: {
  readonly consolidations?: readonly Consolidation[]
  readonly artifacts?: readonly Artifact[]
  readonly report?: NightReport | null
} = {}) {
  const wishes: unknown[] = []
  let learning: LearningState = { frozenSince: null, reason: null }
  const calls: AuditCall[] = []
  const admin: AppDeps['admin'] = {
    audit: {
      record: async (call) =>
        void calls.unshift({ ...call, id: `${calls.length + 1}`, at: '2026-03-02T04:00:00.000Z' }),
      list: async ({ limit, before }) =>
        calls.filter(({ id }) => before === null || Number(id) < Number(before)).slice(0, limit),
    },
    fingerprint: 'f00d',
    consolidations: {
      async request(wish) {
        wishes.push(wish)
        const { kinds, force, trigger } = wish
        const nothingYet = { artifacts: [], progress: 0, step: null, startedAt: null, finishedAt: null }
        return { ...CONSOLIDATION, ...nothingYet, kinds, force, trigger, status: 'queued' }
      },
      async get(id) {
        const found = consolidations.find((consolidation) => consolidation.id === id)
        if (found === undefined) throw new ServiceError('CONSOLIDATION_NOT_FOUND', `get: none for ${id}`)
        return found
      },
      list: async ({ limit }) => consolidations.slice(0, limit),
      async report(id) {
        if (!consolidations.some((consolidation) => consolidation.id === id))
          throw new ServiceError('CONSOLIDATION_NOT_FOUND', `report: none for ${id}`)
        if (report === null) throw new ServiceError('REPORT_NOT_FOUND', `report: not yet for ${id}`)
        return report
      },
    },
    artifacts: {
      list: async ({ limit, kind }) =>
        artifacts.filter((artifact) => kind === undefined || artifact.kind === kind).slice(0, limit),
      async activate(id, fingerprint, { force = false } = {}) {
        const found = artifacts.find((artifact) => artifact.id === id)
        if (found === undefined) throw new ServiceError('ARTIFACT_NOT_FOUND', `activate: none for ${id}`)
        if (found.status !== 'promoted' && !force)
          throw new ServiceError('ARTIFACT_NOT_PROMOTED', `activate: ${id} is ${found.status}`)
        if (found.fingerprint === fingerprint) return { ...found, active: true }
        throw new ServiceError(
          'ARTIFACT_INVALID',
          `activate: expected ${fingerprint}, got ${found.fingerprint}`,
        )
      },
      async reject(id, { reason }) {
        const found = artifacts.find((artifact) => artifact.id === id)
        if (found === undefined) throw new ServiceError('ARTIFACT_NOT_FOUND', `reject: none for ${id}`)
        if (found.status !== 'candidate')
          throw new ServiceError('ARTIFACT_NOT_WAITING', `reject: ${id} is ${found.status}`)
        return { ...found, status: 'rejected', reason }
      },
    },
    training: { learningDays: async ({ days }) => LEARNING_DAYS.slice(0, days) },
    learning: {
      state: async () => learning,
      async freeze({ reason = null } = {}) {
        if (learning.frozenSince === null) learning = { frozenSince: '2026-03-02T04:00:00.000Z', reason }
        return learning
      },
      async unfreeze() {
        learning = { frozenSince: null, reason: null }
        return learning
      },
    },
  }
  return { admin, wishes, calls }
}

/** Solution of the tenant `default` that was answered in the background. */
export const ANSWERED_ID = '0198f2c4-eeee-7d11-8a3c-0e4b9c7d2f15'

/** Creates an in-memory store of questions that are answered in the background; nobody answers them. */
export function memorySolutions() {
  const answered = { status: 'succeeded', finishedAt: CONSOLIDATION.finishedAt, result: SOLUTION } as const
  const begun = { createdAt: CONSOLIDATION.createdAt, startedAt: CONSOLIDATION.startedAt }
  type Record = Awaited<ReturnType<AppDeps['solutions']['get']>>
  const records = new Map<string, Record>([
    [`default ${ANSWERED_ID}`, { id: ANSWERED_ID, ...begun, ...answered }],
  ])
  const added: Parameters<AppDeps['solutions']['add']>[0][] = []
  const find = (tenantId: string, id: string) => {
    const record = records.get(`${tenantId} ${id}`)
    if (record === undefined) throw new ServiceError('SOLUTION_NOT_FOUND', `get: no solution ${id}`)
    return record
  }
  const set = (tenantId: string, record: Record) => records.set(`${tenantId} ${record.id}`, record)
  const solutions: AppDeps['solutions'] = {
    async add(solution) {
      added.push(solution)
      const { tenantId, id } = solution
      set(tenantId, {
        id,
        createdAt: begun.createdAt,
        status: 'queued',
        startedAt: null,
        finishedAt: null,
        result: null,
      })
    },
    get: async (tenantId, id) => find(tenantId, id),
    async cancel(tenantId, id) {
      const record = find(tenantId, id)
      if (record.finishedAt === null)
        set(tenantId, { ...record, status: 'cancelled', finishedAt: CONSOLIDATION.finishedAt })
      return find(tenantId, id)
    },
  }
  return { solutions, added, set }
}

const ALL_WELL = { ok: true } as const

/** Builds the service without checks of its responses. */
export function unverifiedApp(deps: Partial<AppDeps> = {}) {
  return buildApp({
    solver: scriptedSolver().solver,
    episodes: memoryStore().episodes,
    admin: memoryConsolidations().admin,
    solutions: memorySolutions().solutions,
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', text: '# none\n' }),
    observeRequest: () => {},
    health: async () => ({ database: ALL_WELL, queue: ALL_WELL, engine: ALL_WELL, model: ALL_WELL }),
    logger: pino({ level: 'silent' }),
    ...deps,
  })
}

/** Checks of responses; each schema is compiled once for all apps of a test file, which takes longer than the apps. */
const responseChecks = new Ajv({
  schemas: [...COMPONENTS],
  allErrors: true,
  strict: false,
  formats: { int64: true, 'date-time': true },
})
const compile = responseChecks.compile.bind(responseChecks)
const compiled = new Map<string, ValidateFunction>()
responseChecks.compile = ((schema: AnySchema) => {
  const key = JSON.stringify(schema)
  const check = compiled.get(key) ?? compile(schema)
  compiled.set(key, check)
  return check
}) as typeof compile

/** Builds the service and checks every JSON response against its schema; a mismatch becomes a 500. */
export function testApp(deps: Partial<AppDeps> = {}) {
  const app = unverifiedApp(deps)
  // Called instead of registered, because its hook must exist before the routes.
  responseValidation(
    app,
    {
      responseStatusCodeValidation: true,
      ajv: responseChecks,
    },
    () => {},
  )
  return app
}

/** Starts listening on loopback and returns the address. */
export async function listen(app: ReturnType<typeof testApp>): Promise<{ url: string; port: number }> {
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { url, port: Number(new URL(url).port) }
}
