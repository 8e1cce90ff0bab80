import { afterEach, expect, test } from 'vitest'
import type { ConsolidatedArtifact, Consolidation } from '#artifacts'
import { ServiceError } from '#errors'
import {
  ARTIFACT,
  CONSOLIDATION,
  LEARNING_DAYS,
  memoryConsolidations,
  REPORT,
  testApp,
} from '../../support/http-app.ts'

const apps: ReturnType<typeof testApp>[] = []
function start(...deps: Parameters<typeof testApp>) {
  const app = testApp(...deps)
  apps.push(app)
  return app
}
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()))
})

test('POST /admin/consolidations answers with the path of the consolidation', async () => {
  const { admin, wishes } = memoryConsolidations()
  const response = await start({ admin }).inject({
    method: 'POST',
    url: '/admin/consolidations',
    payload: { artifacts: ['lrm'], force: true },
  })
  expect(response.statusCode).toBe(202)
  expect(response.headers.location).toBe(`/admin/consolidations/${CONSOLIDATION.id}`)
  expect(response.json()).toEqual({ id: CONSOLIDATION.id, status: 'queued' })
  expect(wishes).toEqual([
    { fingerprint: 'f00d', kinds: ['lrm'], force: true, trigger: 'request', requestId: expect.any(String) },
  ])
})

test('POST /admin/consolidations requests every kind, not forced, by default', async () => {
  const { admin, wishes } = memoryConsolidations()
  await start({ admin }).inject({ method: 'POST', url: '/admin/consolidations', payload: {} })
  expect(wishes).toEqual([
    {
      fingerprint: 'f00d',
      kinds: ['weaver', 'lrm', 'judge'],
      force: false,
      trigger: 'request',
      requestId: expect.any(String),
    },
  ])
})

test('GET /admin/consolidations/{id} answers with the state and omits absent fields', async () => {
  const skipped: ConsolidatedArtifact = {
    kind: 'lrm',
    version: null,
    status: 'skipped',
    reason: 'one class only: all 8 answers are right',
    metrics: {},
    baseline: {},
  }
  const notYet = { artifacts: [], progress: 0, step: null, startedAt: null, finishedAt: null }
  const consolidations: Consolidation[] = [
    { ...CONSOLIDATION, id: 'failed', status: 'failed', error: 'ENGINE_CRASHED: gone', artifacts: [] },
    { ...CONSOLIDATION, id: 'skipped', status: 'rejected', artifacts: [skipped] },
    { ...CONSOLIDATION, ...notYet, id: 'queued', status: 'queued' },
  ]
  const app = start({ admin: memoryConsolidations({ consolidations }).admin })
  const get = async (id: string) => (await app.inject(`/admin/consolidations/${id}`)).json()

  const { kinds: _kinds, force: _force, attempts: _attempts, error: _error, ...told } = CONSOLIDATION
  expect(await get('failed')).toEqual({
    ...told,
    id: 'failed',
    status: 'failed',
    error: 'ENGINE_CRASHED: gone',
    artifacts: [],
  })
  expect((await get('skipped')).artifacts).toEqual([skipped])
  const queued = await get('queued')
  expect(queued).toMatchObject({
    status: 'queued',
    progress: 0,
    step: null,
    startedAt: null,
    finishedAt: null,
  })
  expect(queued).not.toHaveProperty('error')
})

test('GET /admin/consolidations/{id}/report is JSON, or a page of Markdown if the caller accepts it', async () => {
  const app = start({ admin: memoryConsolidations().admin })
  const url = `/admin/consolidations/${CONSOLIDATION.id}/report`
  const asJson = await app.inject(url)
  expect(asJson.headers['content-type']).toMatch('application/json')
  expect(asJson.json()).toEqual(REPORT)

  const page = await app.inject({ url, headers: { accept: 'text/markdown' } })
  expect(page.headers['content-type']).toBe('text/markdown; charset=utf-8')
  for (const line of [
    '# Night: promoted',
    '| took | 245.5 s, in 2 attempts |',
    '| training process | 291 MiB at most |',
    '| evidence | 18 of 20 questions sampled, 9000 tokens, 1 failed; stopped: time limit of 15 min reached |',
    '## weaver-3: promoted',
    'firstPass rises: +0.120 (0.050 to 0.190, n = 150).',
    '320 of 400 episodes; left out: 70 unusable, 10 nearDuplicate.',
    '| validation.warm | 0.01235 |',
    '| firstPass | 0.9 (0.85 to 0.94), n = 150 | 0.78 (0.71 to 0.84), n = 150 |',
    '| explained | 0.5, n = 80 |  |',
    '## lrm: skipped',
    '| train.weaver | 31.4 |',
  ]) {
    expect(page.body.split('\n')).toContain(line)
  }
  expect((await app.inject({ url, headers: { accept: 'text/html' } })).statusCode).toBe(406)
})

test('the report of a fused judge shows weights and policy', async () => {
  const policy = [
    {
      effort: 'medium',
      from: 0,
      strategy: 'best-of-n',
      samples: 4,
      selector: 'judge',
      questions: 40,
      draftAccuracy: 0.25,
      accuracy: 0.5,
      tokens: 812,
    },
    { effort: 'medium', from: 0.7, strategy: 'greedy' },
    { effort: 'high', from: 0, strategy: 'majority', samples: 8, selector: 'log-probability', stopVotes: 3 },
    { effort: 'high', from: 0.6, strategy: 'majority', samples: 8, stopVotes: 2, stopAbove: 0.9 },
  ]
  const judge = { ...REPORT.artifacts[0]!, kind: 'judge', weights: { bias: 0.5 }, policy } as const
  const report = { ...REPORT, artifacts: [judge] }
  const app = start({ admin: memoryConsolidations({ report }).admin })
  const url = `/admin/consolidations/${CONSOLIDATION.id}/report`
  expect((await app.inject(url)).json().artifacts[0].policy).toEqual(policy)
  const page = (await app.inject({ url, headers: { accept: 'text/markdown' } })).body
  expect(page).toContain(
    [
      '| effort | P(correct) from | then | questions | drafts right | right | tokens |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      '| medium | 0 | best-of-n of 4 by judge | 40 | 0.25 | 0.5 | 812 |',
      '| medium | 0.7 | greedy |  |  |  |  |',
      '| high | 0 | majority of up to 8 by log-probability until 3 votes |  |  |  |  |',
      '| high | 0.6 | majority of up to 8 until 2 votes or P(correct) is from 0.9 or below 0 |  |  |  |  |',
    ].join('\n'),
  )
})

test('GET /admin/consolidations/{id}/report distinguishes a missing consolidation from a missing report', async () => {
  const app = start({ admin: memoryConsolidations({ report: null }).admin })
  const codeOf = async (id: string) => {
    const response = await app.inject(`/admin/consolidations/${id}/report`)
    return [response.statusCode, response.json().code]
  }
  expect(await codeOf(CONSOLIDATION.id)).toEqual([404, 'REPORT_NOT_FOUND'])
  expect(await codeOf('nowhere')).toEqual([404, 'CONSOLIDATION_NOT_FOUND'])
})

test('GET /admin/consolidations and /admin/artifacts respect `limit`', async () => {
  const consolidations = Array.from({ length: 30 }, (_, n) => ({
    ...CONSOLIDATION,
    id: `consolidation-${n}`,
  }))
  const artifacts = Array.from({ length: 30 }, (_, n) => ({ ...ARTIFACT, id: `artifact-${n}` }))
  const app = start({ admin: memoryConsolidations({ consolidations, artifacts }).admin })
  const listed = async (url: string) => Object.values<unknown[]>((await app.inject(url)).json())[0]?.length
  for (const path of ['/admin/consolidations', '/admin/artifacts']) {
    expect(await listed(path)).toBe(20)
    expect(await listed(`${path}?limit=3`)).toBe(3)
  }
  expect(await listed('/admin/artifacts?kind=lrm&limit=100')).toBe(30)
  expect(await listed('/admin/artifacts?kind=weaver')).toBe(0)
})

test('GET /admin/artifacts lists metrics and features, and omits an absent reason', async () => {
  const rejected = { ...ARTIFACT, id: 'worse', status: 'rejected', active: false, reason: 'worse' } as const
  const app = start({ admin: memoryConsolidations({ artifacts: [ARTIFACT, rejected] }).admin })
  const { reason: _reason, ...shown } = ARTIFACT
  expect((await app.inject('/admin/artifacts')).json()).toEqual({ artifacts: [shown, rejected] })
})

test('POST /admin/artifacts/{id}/activate answers with the active artifact', async () => {
  const artifacts = [{ ...ARTIFACT, active: false }]
  const app = start({ admin: memoryConsolidations({ artifacts }).admin })
  const response = await app.inject({ method: 'POST', url: `/admin/artifacts/${ARTIFACT.id}/activate` })
  expect(response.statusCode).toBe(200)
  expect(response.json()).toMatchObject({ id: ARTIFACT.id, active: true })
})

test('POST /admin/artifacts/{id}/activate needs `force` for a version that was not promoted', async () => {
  const artifacts = [{ ...ARTIFACT, status: 'rejected', active: false }] as const
  const app = start({ admin: memoryConsolidations({ artifacts }).admin })
  const activate = (payload?: object) =>
    app.inject({
      method: 'POST',
      url: `/admin/artifacts/${ARTIFACT.id}/activate`,
      ...(payload !== undefined && { payload }),
    })
  for (const refused of [await activate(), await activate({}), await activate({ force: false })]) {
    expect([refused.statusCode, refused.json().code]).toEqual([409, 'ARTIFACT_NOT_PROMOTED'])
  }
  expect((await activate({ force: 'yes' })).statusCode).toBe(400)
  const forced = await activate({ force: true })
  expect(forced.statusCode).toBe(200)
  expect(forced.json()).toMatchObject({ status: 'rejected', active: true })
})

test('POST /admin/freeze and /admin/unfreeze are idempotent; GET /admin/learning answers with the state', async () => {
  const app = start({ admin: memoryConsolidations().admin })
  const get = async () => (await app.inject('/admin/learning')).json()
  const post = async (url: string, payload?: object) => {
    const response = await app.inject({ method: 'POST', url, ...(payload !== undefined && { payload }) })
    expect(response.statusCode).toBe(200)
    return response.json()
  }
  expect(await get()).toEqual({ frozen: false, since: null })
  const frozen = { frozen: true, since: '2026-03-02T04:00:00.000Z', reason: 'odd answers' }
  expect(await post('/admin/freeze', { reason: 'odd answers' })).toEqual(frozen)
  expect(await post('/admin/freeze')).toEqual(frozen)
  expect(await get()).toEqual(frozen)
  expect(await post('/admin/unfreeze')).toEqual({ frozen: false, since: null })
  expect(await post('/admin/unfreeze')).toEqual({ frozen: false, since: null })
  const wrong = await app.inject({ method: 'POST', url: '/admin/freeze', payload: { reason: 7 } })
  expect(wrong.statusCode).toBe(400)
})

test('a version that waits for a review is listed as a candidate that passed', async () => {
  const waiting = { ...ARTIFACT, status: 'candidate', passed: true, active: false } as const
  const consolidation = {
    ...CONSOLIDATION,
    status: 'awaiting-review',
    artifacts: [{ ...CONSOLIDATION.artifacts[0]!, status: 'awaiting-review' }],
  } as const
  const report = { ...REPORT, status: 'awaiting-review' } as const
  const { admin } = memoryConsolidations({ artifacts: [waiting], consolidations: [consolidation], report })
  const app = start({ admin })
  const get = async (url: string) => (await app.inject(url)).json()
  expect(await get('/admin/artifacts')).toMatchObject({ artifacts: [{ status: 'candidate', passed: true }] })
  const url = `/admin/consolidations/${CONSOLIDATION.id}`
  expect(await get(url)).toMatchObject({
    status: 'awaiting-review',
    artifacts: [{ status: 'awaiting-review' }],
  })
  expect(await get(`${url}/report`)).toMatchObject({ status: 'awaiting-review' })
})

test('POST /admin/artifacts/{id}/reject ends the wait of a version, and of no other', async () => {
  const waiting = { ...ARTIFACT, id: 'waiting', status: 'candidate', passed: true, active: false } as const
  const app = start({ admin: memoryConsolidations({ artifacts: [ARTIFACT, waiting] }).admin })
  const reject = (id: string, payload?: object) =>
    app.inject({ method: 'POST', url: `/admin/artifacts/${id}/reject`, ...(payload && { payload }) })
  expect((await reject('waiting', { reason: 'slow' })).json()).toMatchObject({
    status: 'rejected',
    reason: 'slow',
  })
  expect((await reject('waiting')).statusCode).toBe(200)
  expect((await reject('waiting', { reason: '' })).statusCode).toBe(400)
  const refused = await reject(ARTIFACT.id)
  expect([refused.statusCode, refused.json().code]).toEqual([409, 'ARTIFACT_NOT_WAITING'])
  expect((await reject('nowhere')).json()).toMatchObject({ code: 'ARTIFACT_NOT_FOUND' })
})

test('GET /admin/learning/days answers with the figures of the days asked for', async () => {
  const app = start({ admin: memoryConsolidations().admin })
  const days = async (query = '') => app.inject(`/admin/learning/days${query}`)
  expect((await days()).json()).toEqual({ days: LEARNING_DAYS })
  expect((await days('?days=1')).json()).toEqual({ days: LEARNING_DAYS.slice(0, 1) })
  for (const query of ['?days=0', '?days=366', '?days=1.5', '?days=x'])
    expect((await days(query)).statusCode, query).toBe(400)
})

test('every route answers 503 with Retry-After while the database is unavailable', async () => {
  const away = () => Promise.reject(new ServiceError('STORE_UNAVAILABLE', 'away'))
  const admin = {
    fingerprint: 'f00d',
    consolidations: { request: away, get: away, list: away, report: away },
    artifacts: { list: away, activate: away, reject: away },
    training: { learningDays: away },
    learning: { state: away, freeze: away, unfreeze: away },
    audit: { record: away, list: away },
  }
  const app = start({ admin })
  for (const options of [
    { method: 'POST', url: '/admin/consolidations', payload: {} },
    { url: '/admin/consolidations' },
    { url: '/admin/consolidations/x' },
    { url: '/admin/consolidations/x/report' },
    { url: '/admin/artifacts' },
    { method: 'POST', url: '/admin/artifacts/x/activate' },
    { method: 'POST', url: '/admin/artifacts/x/reject' },
    { url: '/admin/learning' },
    { url: '/admin/learning/days' },
    { url: '/admin/audit' },
    { method: 'POST', url: '/admin/freeze' },
    { method: 'POST', url: '/admin/unfreeze' },
  ] as const) {
    const response = await app.inject(options)
    expect([response.statusCode, response.json().code]).toEqual([503, 'STORE_UNAVAILABLE'])
    expect(Number(response.headers['retry-after'])).toBeGreaterThan(0)
  }
})
