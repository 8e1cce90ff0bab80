import pino from 'pino'
import { afterEach, expect, test } from 'vitest'
import { MAX_CANDIDATES } from '#decoder'
import { ServiceError } from '#errors'
import {
  DELETION,
  EPISODE,
  memoryStore,
  QUESTION,
  SOLUTION,
  scriptedSolver,
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

test('POST /solve answers with the fields of the contract only, and the episode in a header', async () => {
  const { solver, requests } = scriptedSolver(
    async () => ({ ...SOLUTION, latentsOfOthers: 'secret' }) as never,
  )
  const response = await start({ solver }).inject({
    method: 'POST',
    url: '/solve',
    payload: { question: QUESTION },
  })
  expect(response.statusCode).toBe(200)
  expect(response.headers['content-type']).toMatch(/^application\/json/)
  expect(response.headers['x-episode-id']).toBe(SOLUTION.episodeId)
  expect(response.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  expect(response.json()).toEqual(SOLUTION)
  expect(requests).toEqual([
    { question: QUESTION, tenantId: 'default', strategy: 'auto', learn: true, explain: false },
  ])
})

test('POST /solve passes every field to the solver unchanged', async () => {
  const body = {
    question: 'Zoë:\t1\r\n+ 1 = 👍?',
    strategy: 'majority',
    samples: 64,
    sampling: { temperature: 4, topK: MAX_CANDIDATES, topP: 1, minP: 0, repetitionPenalty: 10 },
    budget: { maxIterations: 0, maxNewTokens: 32_768, maxMs: 600_000 },
    retrieval: { topK: 0, minSimilarity: -1 },
    weaver: false,
    reward: { verifier: 0, lrm: 0.5, format: 2 },
    reference: '2',
    learn: false,
    seed: Number.MAX_SAFE_INTEGER,
    explain: true,
  }
  const { solver, requests } = scriptedSolver()
  const app = start({ solver })
  expect((await app.inject({ method: 'POST', url: '/solve', payload: body })).statusCode).toBe(200)
  expect(requests).toEqual([{ ...body, tenantId: 'default' }])
})

test('POST /solve serves a solution with every nullable field null and no optional one', async () => {
  const { candidates: _candidates, latents: _latents, ...required } = SOLUTION
  const bare = { ...required, episodeId: null, answer: null, base: null, retrieved: [], degraded: [] }
  const app = start(scriptedSolver(async () => bare))
  const response = await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(response.json()).toEqual(bare)
  expect(response.headers).not.toHaveProperty('x-episode-id')
})

test('GET /episodes pages through the tenant’s episodes', async () => {
  const all = Array.from({ length: 5 }, (_, index) => ({ ...EPISODE, id: `episode-${index}` }))
  const app = start(memoryStore({ default: all, other: [{ ...EPISODE, id: 'theirs' }] }))
  const first = await app.inject('/episodes?limit=3')
  expect(first.json().episodes.map(({ id }: { id: string }) => id)).toEqual([
    'episode-0',
    'episode-1',
    'episode-2',
  ])
  const second = await app.inject(`/episodes?limit=3&cursor=${first.json().nextCursor}`)
  expect(second.json().episodes.map(({ id }: { id: string }) => id)).toEqual(['episode-3', 'episode-4'])
  expect(second.json().nextCursor).toBeNull()
  expect(first.json().episodes[0]).not.toHaveProperty('candidates')
})

test('GET /episodes reads its filters from the query, and refuses what they cannot be', async () => {
  const asked: unknown[] = []
  const { episodes } = memoryStore()
  const list: typeof episodes.list = (tenantId, options) => {
    asked.push(options)
    return episodes.list(tenantId, options)
  }
  const app = start({ episodes: { ...episodes, list } })
  const query =
    'question=3%20%2B&answer=1&label=wrong&minReward=-0.5&maxReward=0&steers=false&strategy=auto&ledBy=x'
  expect((await app.inject(`/episodes?${query}`)).statusCode).toBe(200)
  const filter = {
    question: '3 +',
    answer: '1',
    label: 'wrong',
    minReward: -0.5,
    maxReward: 0,
    steers: false,
    strategy: 'auto',
    ledBy: 'x',
  }
  expect(asked).toEqual([{ limit: 20, filter }])
  for (const [wrong, pointer] of [
    ['question=', '/question'],
    [`question=${'x'.repeat(257)}`, '/question'],
    ['question=%00', '/question'],
    ['question=a&question=b', '/question'],
    ['label=right%20', '/label'],
    ['minReward=0.5', '/minReward'],
    ['minReward=', '/minReward'],
    ['minReward=-1e0', '/minReward'],
    ['steers=1', '/steers'],
    ['strategy=beam', '/strategy'],
    ['ledBy=', '/ledBy'],
    ['tenantId=other', '/tenantId'],
  ]) {
    const refused = await app.inject(`/episodes?${wrong}`)
    expect(refused.statusCode, wrong).toBe(400)
    expect(refused.json().errors, wrong).toEqual([expect.objectContaining({ pointer })])
  }
})

test('POST /episodes/search answers with the episodes that a solve would retrieve', async () => {
  const spent: number[] = []
  const wanted: unknown[] = []
  const { solver } = scriptedSolver()
  const recall: typeof solver.recall = (request, options) => {
    wanted.push(request)
    return solver.recall(request, options)
  }
  const app = start({ solver: { ...solver, recall } })
  app.addHook('onRequest', async (request) => {
    request.spendTokens = async (tokens) => void spent.push(tokens)
  })
  const search = (payload: object) => app.inject({ method: 'POST', url: '/episodes/search', payload })
  const found = await search({ question: '3 + 4?' })
  const { candidates: _candidates, ...rest } = EPISODE
  expect(found.json()).toMatchObject({
    neighbours: [{ similarity: 0.875, episode: { id: rest.id, question: rest.question } }],
    usage: { promptTokens: 6 },
  })
  await search({ question: '3 + 4?', topK: 50, minSimilarity: 0.5 })
  expect(wanted).toEqual([
    { tenantId: 'default', question: '3 + 4?', topK: 10, minSimilarity: -1 },
    { tenantId: 'default', question: '3 + 4?', topK: 50, minSimilarity: 0.5 },
  ])
  expect(spent).toEqual([6, 6])
  for (const wrong of [
    {},
    { question: '' },
    { question: 'x', topK: 0 },
    { question: 'x', tenantId: 'other' },
  ])
    expect((await search(wrong)).statusCode).toBe(400)
})

test('GET /episodes/{id}/influence and GET /episodes/map answer for the tenant', async () => {
  const app = start()
  const { deletion } = (await app.inject(`/episodes/${EPISODE.id}/influence`)).json()
  expect(deletion).toEqual({
    withdrawn: 2,
    released: 1,
    artifacts: [{ id: expect.any(String), version: 'lrm-2', active: true }],
  })
  expect((await app.inject('/episodes/nowhere/influence')).json()).toMatchObject({
    code: 'EPISODE_NOT_FOUND',
  })
  const { points, explained } = (await app.inject('/episodes/map')).json()
  expect(points).toEqual([
    {
      id: EPISODE.id,
      question: QUESTION,
      answer: '1',
      reward: -0.04,
      steers: true,
      label: null,
      x: 0.5,
      y: -0.25,
    },
  ])
  expect(explained).toEqual([0.5, 0.25])
  expect((await app.inject('/episodes/map?limit=10001')).statusCode).toBe(400)
})

test('GET /episodes/{id} answers with all judged answers', async () => {
  const response = await start().inject(`/episodes/${EPISODE.id}`)
  expect(response.statusCode).toBe(200)
  expect(response.json()).toEqual(EPISODE)
})

test.each([
  [{ correct: false }, { correct: false }],
  [{ answer: ' SEVEN ' }, { answer: 'seven' }],
])('POST /episodes/{id}/feedback %j labels with %j', async (payload, feedback) => {
  const { episodes, labelled } = memoryStore()
  const response = await start({ episodes }).inject({
    method: 'POST',
    url: `/episodes/${EPISODE.id}/feedback`,
    payload,
  })
  expect(response.statusCode).toBe(200)
  expect(response.json()).toEqual({ ...EPISODE, label: true, labelSource: 'feedback' })
  expect(labelled).toEqual([{ tenantId: 'default', id: EPISODE.id, feedback }])
})

test('POST /episodes/{id}/feedback brings answers of an older profile to the form of this one', async () => {
  const { episodes } = memoryStore({ default: [{ ...EPISODE, answer: 'SEVEN' }] })
  const response = await start({ episodes }).inject({
    method: 'POST',
    url: `/episodes/${EPISODE.id}/feedback`,
    payload: { answer: 'seven' },
  })
  expect(response.json()).toMatchObject({ answer: 'seven' })
})

test('DELETE /episodes/{id} deletes one episode, DELETE /episodes the rest of the tenant', async () => {
  const theirs = [{ ...EPISODE, id: 'theirs' }]
  const { episodes } = memoryStore({ default: [EPISODE, { ...EPISODE, id: 'second' }], other: theirs })
  const app = start({ episodes })
  const one = await app.inject({ method: 'DELETE', url: `/episodes/${EPISODE.id}` })
  expect([one.statusCode, one.body]).toEqual([204, ''])
  const again = await app.inject({ method: 'DELETE', url: `/episodes/${EPISODE.id}` })
  expect(again.json()).toMatchObject({ status: 404, code: 'EPISODE_NOT_FOUND' })
  const notOurs = await app.inject({ method: 'DELETE', url: '/episodes/theirs' })
  expect(notOurs.statusCode).toBe(404)
  const all = await app.inject({ method: 'DELETE', url: '/episodes' })
  expect([all.statusCode, all.json()]).toEqual([202, DELETION])
  expect(all.headers['location']).toBe(`/deletions/${DELETION.id}`)
  expect((await episodes.list('default', { limit: 9 })).episodes).toEqual([])
  expect((await episodes.list('other', { limit: 9 })).episodes).toEqual(theirs)
  const record = await app.inject(String(all.headers['location']))
  expect([record.statusCode, record.json()]).toMatchObject([200, { id: DELETION.id, status: 'finished' }])
  const none = await app.inject('/deletions/none')
  expect(none.json()).toMatchObject({ status: 404, code: 'DELETION_NOT_FOUND' })
})

test('DELETE accepts a content type without a body', async () => {
  const response = await start().inject({
    method: 'DELETE',
    url: '/episodes',
    headers: { 'content-type': 'application/json' },
  })
  expect(response.statusCode).toBe(202)
})

test('GET /livez answers while every dependency is unavailable', async () => {
  const app = start({ health: () => Promise.reject(new Error('no health either')), draining: () => true })
  expect((await app.inject('/livez')).json()).toEqual({ status: 'ok' })
})

const ALL_OK = {
  database: { ok: true },
  queue: { ok: true },
  engine: { ok: true },
  model: { ok: true, detail: 'order-of-operations' },
}

test('GET /readyz lists each dependency', async () => {
  for (const url of ['/readyz', '/readyz?strict']) {
    const ready = await start({ health: async () => ALL_OK }).inject(url)
    expect([ready.statusCode, ready.json()]).toEqual([200, { status: 'ready', checks: ALL_OK }])
  }
})

test.each(['engine', 'model'])('GET /readyz is 503 without the %s', async (name) => {
  const checks = { ...ALL_OK, [name]: { ok: false, detail: 'starting on cpu' } }
  const unready = await start({ health: async () => checks }).inject('/readyz')
  expect(unready.statusCode).toBe(503)
  expect(unready.headers['retry-after']).toBe('5')
  expect(unready.json()).toEqual({ status: 'unready', checks })
})

test.each(['database', 'queue'])('GET /readyz is 200 without the %s, and 503 if strict', async (name) => {
  const checks = { ...ALL_OK, [name]: { ok: false, detail: 'not reachable' } }
  const app = start({ health: async () => checks })
  for (const url of ['/readyz', '/readyz?strict=false']) {
    const degraded = await app.inject(url)
    expect([degraded.statusCode, degraded.json()]).toEqual([200, { status: 'degraded', checks }])
  }
  for (const url of ['/readyz?strict', '/readyz?strict=true']) {
    const strict = await app.inject(url)
    expect([strict.statusCode, strict.json()]).toEqual([503, { status: 'degraded', checks }])
    expect(strict.headers['retry-after']).toBe('5')
  }
  expect((await app.inject('/readyz?strict=perhaps')).statusCode).toBe(400)
})

test('GET /docs works without the internet: the server serves every asset of the page', async () => {
  const app = start()
  const page = await app.inject('/docs')
  expect(page.statusCode).toBe(200)
  const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url ?? '')
  expect(assets.length).toBeGreaterThan(3)
  for (const asset of assets) {
    expect(asset).toMatch(/^\/docs\/static\//)
    expect((await app.inject(asset)).statusCode, asset).toBe(200)
  }
  expect((await app.inject('/docs/json')).json().openapi).toBe('3.1.0')
  expect((await app.inject('/docs/static/swagger-initializer.js')).body).toContain('validatorUrl: null')
})

test('keeps a safe x-request-id of the caller and replaces any other', async () => {
  const app = start()
  const own = await app.inject({ url: '/nowhere', headers: { 'x-request-id': 'trace-1.2_3' } })
  expect(own.headers['x-request-id']).toBe('trace-1.2_3')
  expect(own.json().instance).toBe('trace-1.2_3')
  for (const id of ['a b', '"', 'x'.repeat(65), 'é']) {
    const other = await app.inject({ url: '/livez', headers: { 'x-request-id': id } })
    expect(other.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
  }
})

test('a question refused by the solver is a problem with a pointer to the field', async () => {
  const message = 'solve: expected at most 512 tokens, got 900'
  const app = start(
    scriptedSolver(async () => {
      throw new ServiceError('PROMPT_TOO_LONG', message)
    }),
  )
  const response = await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(response.statusCode).toBe(422)
  expect(response.json()).toMatchObject({
    code: 'PROMPT_TOO_LONG',
    detail: message,
    errors: [{ pointer: '/question', detail: message }],
  })
})

test('logs every request with its id, but neither probes nor questions', async () => {
  const lines: string[] = []
  const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) })
  const app = start({ logger })
  await app.inject('/livez')
  await app.inject('/readyz')
  expect(lines).toEqual([])
  const response = await app.inject({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { reqId: response.headers['x-request-id'], req: { method: 'POST', url: '/solve' } },
    { reqId: response.headers['x-request-id'], msg: 'solved' },
    { reqId: response.headers['x-request-id'], res: { statusCode: 200 } },
  ])
  expect(lines.join('')).not.toContain('Eve')
})
