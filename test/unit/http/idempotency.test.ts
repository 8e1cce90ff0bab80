/** @file `Idempotency-Key` over HTTP: one work for equal requests, whoever sends them and however the first ends. */

import { randomUUID } from 'node:crypto'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import type { IdempotencyStore } from '#keys'
import type { SolveOptions } from '#solving'
import { QUESTION, SOLUTION, scriptedSolver, testApp } from '../../support/http-app.ts'

/** A store in memory, as that in Postgres behaves; a lease ends when the test says so. */
function memoryIdempotency() {
  type Row = { hash: string; owner: string; answerId: string; isFree: boolean; result?: string }
  const rows = new Map<string, Row>()
  const owned = ({ tenantId, key, owner }: { tenantId: string; key: string; owner: string }) => {
    const row = rows.get(`${tenantId} ${key}`)
    return row?.owner === owner && row.result === undefined ? row : undefined
  }
  const store: IdempotencyStore = {
    async claim(tenantId, key, requestHash) {
      const name = `${tenantId} ${key}`
      const hash = requestHash.toString('hex')
      const row = rows.get(name)
      if (row !== undefined && row.hash !== hash) return { state: 'other-request' }
      if (row?.result !== undefined) return { state: 'answered', result: JSON.parse(row.result) }
      if (row !== undefined && !row.isFree) return { state: 'running' }
      const own = { hash, owner: randomUUID(), answerId: row?.answerId ?? randomUUID(), isFree: false }
      rows.set(name, own)
      return { state: 'own', ownership: { ...own, tenantId, key, isTakenOver: row !== undefined } }
    },
    async renew() {},
    async complete(ownership, result) {
      const row = owned(ownership)
      if (row !== undefined) row.result = JSON.stringify(result)
      return row !== undefined
    },
    async release(ownership) {
      const row = owned(ownership)
      if (row !== undefined) row.isFree = true
    },
  }
  const die = () => {
    for (const row of rows.values()) row.isFree = true
  }
  return { store, die }
}

const { store, die } = memoryIdempotency()
const started: SolveOptions[] = []
let next: () => Promise<void> = async () => {}
const { solver } = scriptedSolver(async (_request, options) => {
  started.push(options)
  await next()
  const { id = SOLUTION.id } = options
  return { ...SOLUTION, id, episodeId: id }
})

const app = testApp({
  solver,
  idempotency: store,
  authenticate: async (key) => ({
    keyId: key,
    tenantId: key ?? 'default',
    scopes: ['solve'],
    limits: { rate: null, tokens: null },
  }),
})
const lost = testApp({
  solver,
  idempotency: { ...store, complete: async () => Promise.reject(new Error('down')) },
})
// Compiles the schemas.
beforeAll(async () => void (await app.ready()), 60_000)
afterAll(() => Promise.all([app.close(), lost.close()]))
let key = ''
beforeEach(() => {
  key = randomUUID()
  started.length = 0

  next = async () => {}
})

const ask = (over: { body?: object; tenant?: string; headers?: object; app?: typeof app } = {}) =>
  (over.app ?? app).inject({
    method: 'POST',
    url: '/solve',
    payload: { question: QUESTION, ...over.body },
    headers: { 'idempotency-key': key, authorization: `Bearer ${over.tenant ?? 'acme'}`, ...over.headers },
  } as InjectOptions)

test('an answered request is answered again without work; another body is refused', async () => {
  const first = await ask()
  const again = await ask({ headers: { 'x-request-id': 'another' } })
  expect(first.headers).not.toHaveProperty('idempotent-replayed')
  expect(again.headers).toMatchObject({
    'idempotent-replayed': 'true',
    'x-episode-id': first.headers['x-episode-id'],
  })
  expect(again.body).toBe(first.body)
  expect(started).toHaveLength(1)
  const other = await ask({ body: { seed: 1 } })
  expect(other.json()).toMatchObject({ status: 422, code: 'IDEMPOTENCY_KEY_REUSED' })
  expect(started).toHaveLength(1)
})

test.each(['/v1/chat/completions', '/v1/responses'])(
  '%s answers again without work too, in a stream',
  async (url) => {
    const asked = url.endsWith('responses')
      ? { input: QUESTION }
      : { messages: [{ role: 'user', content: QUESTION }] }
    const post = (over: object = {}) =>
      app.inject({
        method: 'POST',
        url,
        payload: { model: 'circadian/auto', ...asked, ...over },
        headers: { 'idempotency-key': key, authorization: 'Bearer acme' },
      })
    const [first, again] = [await post(), await post()]
    expect([first.statusCode, again.statusCode]).toEqual([200, 200])
    expect(again.headers['idempotent-replayed']).toBe('true')
    const [one, other] = [first.json(), again.json()]
    expect(one.choices ?? one.output[0].content).toEqual(other.choices ?? other.output[0].content)
    expect((await post({ seed: 1 })).statusCode).toBe(url.endsWith('responses') ? 400 : 422)
    key = randomUUID()
    const streams = [await post({ stream: true }), await post({ stream: true })]
    expect(streams[1]!.headers['idempotent-replayed']).toBe('true')
    for (const { body } of streams) expect(body).toContain(SOLUTION.text.trim().split(/\s/)[0])
    expect(started).toHaveLength(2)
  },
)

test('the key of another tenant, and no key, are other requests', async () => {
  await ask()
  expect((await ask({ tenant: 'other', body: { seed: 1 } })).statusCode).toBe(200)
  const payload = { question: QUESTION }
  expect((await app.inject({ method: 'POST', url: '/solve', payload })).statusCode).toBe(200)
  expect(started).toHaveLength(3)
})

test('equal requests at once wait for one answer, streams included', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  next = () => promise
  const requests = [ask(), ask(), ask({ headers: { accept: 'text/event-stream' } }), ask()]
  while (started.length === 0) await new Promise((done) => setTimeout(done, 5))
  resolve()
  const answers = await Promise.all(requests)
  expect(started).toHaveLength(1)
  const ids = answers.map(({ body }) => /"episodeId":"([^"]+)"/.exec(body)?.[1])
  expect(new Set(ids)).toEqual(new Set([started[0]?.id]))
  expect(
    answers.filter(({ headers }) => headers['content-type']?.startsWith('text/event-stream')),
  ).toHaveLength(1)
})

test('a failure is not kept: the next request works, under the same id', async () => {
  next = async () => {
    throw new ServiceError('ENGINE_OVERLOADED', 'engine: full')
  }
  expect((await ask()).json()).toMatchObject({ code: 'ENGINE_OVERLOADED' })
  next = async () => {}
  expect((await ask()).statusCode).toBe(200)
  expect(started.map(({ id }) => id)).toEqual([started[0]?.id, started[0]?.id])
})

test('when the first process dies, a waiting request takes over, and a late answer of the first is not given', async () => {
  const dead = Promise.withResolvers<void>()
  next = () => dead.promise
  const first = ask()
  while (started.length === 0) await new Promise((done) => setTimeout(done, 5))
  next = async () => {}
  const second = ask()
  die()
  const answer = await second
  expect(answer.statusCode).toBe(200)
  expect(started).toHaveLength(2)
  dead.resolve()
  const late = await first
  expect(late.headers['idempotent-replayed']).toBe('true')
  expect(late.body).toBe(answer.body)
})

test('an answer that cannot be kept is given all the same', async () => {
  expect((await ask({ app: lost })).statusCode).toBe(200)
})

test('a body that is not valid uses no key', async () => {
  expect((await ask({ body: { samples: 0 } })).statusCode).toBe(400)
  expect((await ask()).statusCode).toBe(200)
})

test.each(['', 'a b', 'x'.repeat(256), 'caf\u00e9'])('%j is no key', async (bad) => {
  const answer = await ask({ headers: { 'idempotency-key': bad } })
  expect(answer.json()).toMatchObject({ status: 400, errors: [{ pointer: '/idempotency-key' }] })
  expect(started).toEqual([])
})
