/** @file The record of calls of operators and of deletions. */

import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ServiceError } from '#errors'
import { SCOPES } from '#keys'
import { ARTIFACT, EPISODE, memoryConsolidations, QUESTION, testApp } from '../../support/http-app.ts'

const { admin, calls } = memoryConsolidations()
const app = testApp({
  admin,
  async authenticate(key, scope) {
    if (key === null) throw new ServiceError('KEY_INVALID', 'authorization: none')
    if (key === 'reader' && scope !== 'solve') throw new ServiceError('SCOPE_MISSING', 'api key: none')
    return { keyId: key, tenantId: 'acme', scopes: SCOPES, limits: { rate: null, tokens: null } }
  },
})
beforeAll(async () => void (await app.ready()), 60_000)
afterAll(() => app.close())
beforeEach(() => {
  calls.length = 0
})

const ask = (request: InjectOptions, key: string | null = 'operator') =>
  app.inject({
    ...request,
    headers: { 'x-request-id': 'r', ...(key !== null && { authorization: `Bearer ${key}` }) },
  })
const activate = (payload: object) =>
  ({ method: 'POST', url: `/admin/artifacts/${ARTIFACT.id}/activate`, payload }) as const

test('has who did what, to what, from where, and how it ended', async () => {
  await ask(activate({ force: true }))
  await ask(activate({ force: 'yes' }))
  await ask({ method: 'DELETE', url: `/episodes/${EPISODE.id}` })
  await ask({ url: '/admin/artifacts' })
  const call = { tenantId: 'acme', keyId: 'operator', caller: '127.0.0.1', requestId: 'r', force: null }
  expect(calls.toReversed()).toMatchObject([
    { ...call, action: 'activateArtifact', target: ARTIFACT.id, force: true, status: 200 },
    { ...call, action: 'activateArtifact', target: ARTIFACT.id, force: false, status: 400 },
    { ...call, action: 'deleteEpisode', target: EPISODE.id, status: 404 },
    { ...call, action: 'listArtifacts', target: null, status: 200 },
  ])
  const { calls: listed } = (await ask({ url: '/admin/audit?limit=2' })).json()
  expect(listed).toEqual([calls[1], calls[2]])
  const next = (await ask({ url: `/admin/audit?limit=2&before=${listed[1].id}` })).json()
  expect(next.calls.map(({ action }: { action: string }) => action)).toEqual([
    'activateArtifact',
    'activateArtifact',
  ])
  expect(calls[0]).toMatchObject({ action: 'listCalls' })
})

test('has no call of callers whom nobody knows, and none that reads or asks', async () => {
  expect((await ask({ url: '/admin/artifacts' }, null)).statusCode).toBe(401)
  expect((await ask({ url: '/admin/artifacts' }, 'reader')).statusCode).toBe(403)
  expect((await app.inject({ url: '/admin/artifacts', headers: { host: 'evil.example' } })).statusCode).toBe(
    421,
  )
  await ask({ url: '/episodes' })
  await ask({ method: 'POST', url: '/solve', payload: { question: QUESTION } })
  expect(calls).toEqual([])
})

test.each(['before=x', 'limit=0', 'limit=1001', 'cursor=1', 'before=9999999999999999999'])(
  'refuses ?%s',
  async (query) => {
    expect((await ask({ url: `/admin/audit?${query}` })).statusCode).toBe(400)
  },
)

test('a call is answered although it cannot be stored', async () => {
  const { record } = admin.audit
  Object.assign(admin.audit, { record: async () => Promise.reject(new Error('down')) })
  expect((await ask({ url: '/admin/artifacts' })).statusCode).toBe(200)
  Object.assign(admin.audit, { record })
})
