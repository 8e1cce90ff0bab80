/** @file Keys, scopes and tenants over HTTP: every operation of the contract, with and without a right key. */

import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ServiceError } from '#errors'
import { createAuthenticator, SCOPES, type Scope } from '#keys'
import { contractYaml } from '../../../src/http/openapi.ts'
import { hashKey } from '../../../src/keys/key-store.ts'
import {
  ANSWERED_ID,
  DELETION,
  EPISODE,
  memoryStore,
  QUESTION,
  scriptedSolver,
  unverifiedApp,
} from '../../support/http-app.ts'

const KEYS: Readonly<Record<string, { id: string; tenantId: string; scopes: readonly Scope[] }>> = {
  ...Object.fromEntries(SCOPES.map((scope) => [scope, { id: scope, tenantId: 'default', scopes: [scope] }])),
  all: { id: 'all', tenantId: 'default', scopes: SCOPES },
  stranger: { id: 'stranger', tenantId: 'other', scopes: SCOPES },
}
const byHash = new Map(Object.entries(KEYS).map(([key, found]) => [hashKey(key).toString('hex'), found]))

let isDown = false
const { solver, requests: solved } = scriptedSolver()
const episodesOf = { default: [EPISODE], other: [] }
const lines: { audit?: boolean; key?: string | null; tenant?: string }[] = []
const app = unverifiedApp({
  solver,
  episodes: memoryStore(episodesOf).episodes,
  authenticate: createAuthenticator({
    allowAnonymous: true,
    clock: () => 0,
    store: {
      async find(hash) {
        if (isDown) throw new ServiceError('STORE_UNAVAILABLE', 'find key: down')
        const found = byHash.get(hash?.toString('hex') ?? '')
        return { found: found === undefined ? null : { ...found, rate: null, tokens: null }, anyKeys: true }
      },
    },
  }),
})
app.addHook('onResponse', async (request) => {
  lines.push({ key: request.keyId, tenant: request.tenantId })
})

interface Operation {
  readonly security?: readonly Record<string, readonly Scope[]>[]
  readonly responses: Record<string, unknown>
}
/** Code of an error in either envelope. */
const codeOf = (body: { code?: string; error?: { code: string } }) => body.code ?? body.error?.code ?? ''

/** `any`: every key will do; undefined: open to all. */
type Needs = Scope | 'any' | undefined
let operations: { name: string; request: InjectOptions; scope: Needs; operation: Operation }[]

beforeAll(async () => {
  await app.ready()
  const { paths }: { paths: Record<string, Record<string, Operation>> } = parse(contractYaml(app))
  operations = Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
      scope: needsOf(operation),
      request: {
        method: method.toUpperCase() as 'GET',
        url: path.replace('{id}', idAt(path)),
        ...(method === 'post' && { payload: path === '/solve' ? { question: QUESTION } : {} }),
      },
    })),
  )
})
afterAll(() => app.close())

function needsOf({ security }: Operation): Needs {
  const scopes = security?.[0]?.['apiKey']
  return scopes?.length === 0 ? 'any' : scopes?.[0]
}

function idAt(path: string): string {
  if (path.startsWith('/solutions')) return ANSWERED_ID
  return path.startsWith('/deletions') ? DELETION.id : EPISODE.id
}

const ask = (request: InjectOptions, key?: string) =>
  app.inject({ ...request, ...(key !== undefined && { headers: { authorization: `Bearer ${key}` } }) })

test('every operation but health and that of the caller has a scope, with 401 and 403 in the contract', () => {
  expect(operations.length).toBeGreaterThan(15)
  const open = operations.filter(({ scope }) => scope === undefined).map(({ name }) => name)
  expect(open).toEqual(['GET /livez', 'GET /readyz'])
  expect(operations.filter(({ scope }) => scope === 'any').map(({ name }) => name)).toEqual(['GET /whoami'])
  for (const { name, scope, operation } of operations) {
    if (scope === undefined) continue
    const refusals = scope === 'any' ? ['401'] : ['401', '403']
    expect(Object.keys(operation.responses), name).toEqual(expect.arrayContaining(refusals))
    expect(name.includes('/admin'), name).toBe(scope === 'admin')
  }
})

test('every operation refuses callers without a key, with an unknown key and with another scheme', async () => {
  for (const { name, request, scope } of operations) {
    const answers = [
      await ask(request),
      await ask(request, 'unknown'),
      await app.inject({ ...request, headers: { authorization: 'Basic YWxsOg==' } }),
      await app.inject({ ...request, headers: { authorization: 'all' } }),
    ]
    for (const answer of answers) {
      expect(answer.statusCode, name).toBe(scope === undefined ? 200 : 401)
      if (scope === undefined) continue
      expect(codeOf(answer.json()), name).toMatch(/^(KEY_INVALID|invalid_api_key)$/)
      expect(answer.headers['www-authenticate']).toBe('Bearer')
    }
  }
  expect(solved).toEqual([])
})

test('every operation refuses a key with all scopes but its own, and takes one with its own alone', async () => {
  for (const { name, request, scope } of operations) {
    for (const other of SCOPES) {
      const answer = await ask(request, other)
      if (scope === undefined || scope === 'any' || other === scope)
        expect([401, 403], `${name} ${other}`).not.toContain(answer.statusCode)
      else
        expect(
          { code: codeOf(answer.json()).toUpperCase(), status: answer.statusCode },
          `${name} ${other}`,
        ).toEqual({ code: 'SCOPE_MISSING', status: 403 })
    }
  }
})

test('GET /whoami names tenant, key and scopes of its caller', async () => {
  const answer = await ask({ url: '/whoami' }, 'feedback')
  expect(answer.json()).toEqual({ keyId: 'feedback', tenantId: 'default', scopes: ['feedback'] })
})

test('no operation with an id reaches what belongs to another tenant', async () => {
  const withIds = operations.filter(
    ({ name, scope }) => name.includes('{id}') && scope !== 'admin' && scope !== undefined,
  )
  expect(withIds.length).toBeGreaterThan(5)
  episodesOf.default = [EPISODE]
  for (const { name, request } of withIds) {
    const payload = request.method === 'POST' ? { payload: { correct: true } } : {}
    const path = String(request.url).split('/', 3).join('/')
    const isThere = (await ask({ url: path }, 'all')).statusCode === 200
    expect(isThere, name).toBe(true)
    const foreign = await ask({ ...request, ...payload }, 'stranger')
    expect(foreign.statusCode, name).toBe(404)
    // The answer is that to an id that nobody has.
    const nobody = '0198f2c4-ffff-7d11-8a3c-0e4b9c7d2f15'
    const url = String(request.url).replace(/[^/]{36}/, nobody)
    const unknown = await ask({ ...request, ...payload, url }, 'stranger')
    expect({ ...foreign.json(), instance: '', detail: '' }, name).toEqual({
      ...unknown.json(),
      instance: '',
      detail: '',
    })
  }
  const search = { method: 'POST', url: '/episodes/search', payload: { question: QUESTION } } as const
  expect((await ask(search, 'stranger')).json()).toMatchObject({ neighbours: [] })
  expect((await ask(search, 'all')).json()).toMatchObject({ neighbours: [{ episode: { id: EPISODE.id } }] })
  expect((await ask({ url: '/episodes/map' }, 'stranger')).json()).toMatchObject({ points: [] })
  expect((await ask({ url: '/episodes/map' }, 'all')).json()).toMatchObject({ points: [{ id: EPISODE.id }] })
  expect((await ask({ url: '/episodes' }, 'stranger')).json()).toMatchObject({ episodes: [] })
  expect((await ask({ url: '/episodes' }, 'all')).json()).toMatchObject({ episodes: [{ id: EPISODE.id }] })
})

describe('a question', () => {
  const question = (body: object = {}): InjectOptions => ({
    method: 'POST',
    url: '/solve',
    payload: { question: QUESTION, ...body },
  })

  test('belongs to the tenant of its key, whatever the body says', async () => {
    solved.length = 0
    expect((await ask(question(), 'stranger')).statusCode).toBe(200)
    expect((await ask(question({ tenantId: 'default' }), 'stranger')).statusCode).toBe(400)
    expect(solved.map(({ tenantId }) => tenantId)).toEqual(['other'])
  })

  test('may have a reference only with the scope feedback', async () => {
    const refused = await ask(question({ reference: '1' }), 'solve')
    expect(refused.json()).toMatchObject({
      code: 'SCOPE_MISSING',
      detail: 'body/reference: expected an API key with the scope feedback, got solve',
    })
    expect((await ask(question({ reference: '1' }), 'all')).statusCode).toBe(200)
  })
})

test('the scheme is read in any case; spaces around the key do not matter', async () => {
  for (const authorization of ['bearer all', 'BEARER   all', 'Bearer all '])
    expect((await app.inject({ url: '/episodes', headers: { authorization } })).statusCode).toBe(200)
})

test('requests carry the id and the tenant of the key for the audit', async () => {
  lines.length = 0
  await ask({ method: 'DELETE', url: `/episodes/${EPISODE.id}` }, 'stranger')
  await ask({ url: '/livez' })
  expect(lines).toEqual([
    { key: 'stranger', tenant: 'other' },
    { key: null, tenant: 'default' },
  ])
})

test('a database that does not answer is 503, not 401', async () => {
  isDown = true
  const answer = await ask({ url: '/episodes' }, 'never-seen')
  isDown = false
  expect(answer.statusCode).toBe(503)
  expect(answer.json()).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(answer.headers['www-authenticate']).toBeUndefined()
})
