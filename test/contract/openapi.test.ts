/** @file openapi.yaml matches the route schemas; `npm run openapi` regenerates it. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { contractYaml } from '../../src/http/openapi.ts'
import { ARTIFACT, CONSOLIDATION, DELETION, EPISODE, QUESTION, unverifiedApp } from '../support/http-app.ts'

const ROOT = join(import.meta.dirname, '../..')

interface Media {
  readonly schema?: object
}
interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly requestBody?: { readonly required?: boolean }
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Record<string, Media> }>
  >
}

const app = unverifiedApp()
let yaml = ''
let document: {
  openapi: string
  info: { version: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, { examples?: unknown[] }>; headers: Record<string, unknown> }
}

beforeAll(async () => {
  await app.ready()
  yaml = contractYaml(app)
  document = parse(yaml)
})
afterAll(() => app.close())

const operations = () =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      operation,
    })),
  )

/** Compiles one schema of the document, with the components that it may refer to. */
const compile = (schema: object) => Compile({ ...schema, components: document.components } as never)

test('openapi.yaml is current', async () => {
  await expect(yaml).toMatchFileSnapshot(join(ROOT, 'openapi.yaml'))
})

test('GET /openapi.yaml serves the same, byte for byte', async () => {
  const response = await app.inject('/openapi.yaml')
  expect(response.statusCode).toBe(200)
  expect(response.headers['content-type']).toBe('application/yaml; charset=utf-8')
  expect(response.body).toBe(yaml)
})

test('is OpenAPI 3.1 of this version, without YAML anchors, which some readers do not support', () => {
  expect(document.openapi).toBe('3.1.0')
  expect(document.info.version).toBe(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version)
  expect(yaml).not.toMatch(/: [&*]a\d/)
})

test('lists exactly the existing routes', () => {
  expect(operations().map(({ name }) => name)).toEqual([
    'POST /solve',
    'POST /v1/chat/completions',
    'POST /v1/responses',
    'GET /v1/models',
    'GET /v1/models/{model}',
    'GET /solutions/{id}',
    'DELETE /solutions/{id}',
    'GET /episodes',
    'DELETE /episodes',
    'GET /episodes/{id}',
    'DELETE /episodes/{id}',
    'GET /episodes/{id}/influence',
    'GET /deletions/{id}',
    'POST /episodes/search',
    'GET /episodes/map',
    'POST /episodes/{id}/feedback',
    'POST /admin/consolidations',
    'GET /admin/consolidations',
    'GET /admin/consolidations/{id}',
    'GET /admin/consolidations/{id}/report',
    'GET /admin/artifacts',
    'POST /admin/artifacts/{id}/activate',
    'POST /admin/artifacts/{id}/reject',
    'GET /admin/learning',
    'GET /admin/learning/days',
    'POST /admin/freeze',
    'POST /admin/unfreeze',
    'GET /admin/audit',
    'GET /whoami',
    'GET /livez',
    'GET /readyz',
    'GET /metrics',
  ])
  for (const { name } of operations()) {
    const [method = '', path = ''] = name.split(' ')
    expect(app.hasRoute({ method: method as 'GET', url: path.replaceAll(/\{(\w+)\}/g, ':$1') }), name).toBe(
      true,
    )
  }
})

test('every operation has a unique name, a summary, a tag and its error responses', () => {
  const names = operations().map(({ operation }) => operation.operationId)
  expect(new Set(names).size).toBe(names.length)
  for (const { name, operation } of operations()) {
    expect(operation, name).toMatchObject({
      operationId: expect.stringMatching(/^[a-z][A-Za-z]+$/),
      summary: expect.any(String),
      tags: [expect.any(String)],
    })
    expect(Object.keys(operation.responses), name).toEqual(expect.arrayContaining(['500', '503']))
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      if (Number(status) < 400) continue
      const type = name.includes(' /v1/') ? 'application/json' : 'application/problem+json'
      expect(content, `${name} ${status}`).toHaveProperty([type])
    }
  }
})

test('every reference has a component, and every component is used', () => {
  const { schemas, headers } = document.components
  const names = Object.entries({ schemas, headers }).flatMap(([kind, components]) =>
    Object.keys(components).map((name) => `${kind}/${name}`),
  )
  const used = new Set([...yaml.matchAll(/\$ref: "#\/components\/(\w+\/\w+)"/g)].map(([, name]) => name))
  expect([...used].sort()).toEqual(names.sort())
})

test('every example matches its schema', () => {
  const examples = Object.entries(document.components.schemas).flatMap(([name, schema]) =>
    (schema.examples ?? []).map((example) => ({ name, schema, example })),
  )
  expect(examples.length).toBeGreaterThanOrEqual(5)
  for (const { name, schema, example } of examples)
    expect(compile(schema).Errors(example), name).toEqual([true, []])
})

const THINGS = [
  { under: '/episodes', id: EPISODE.id },
  { under: '/deletions', id: DELETION.id },
  { under: '/admin/consolidations', id: CONSOLIDATION.id },
  { under: '/admin/artifacts', id: ARTIFACT.id },
]

test.each<[string, string, object | undefined]>([
  ['POST', '/solve', { question: QUESTION }],
  [
    'POST',
    '/v1/chat/completions',
    { model: 'circadian/auto', messages: [{ role: 'user', content: QUESTION }] },
  ],
  ['POST', '/v1/responses', { model: 'circadian/auto', input: QUESTION }],
  ['GET', '/v1/models', undefined],
  ['GET', '/episodes', undefined],
  ['GET', '/episodes/{id}', undefined],
  ['GET', '/episodes/{id}/influence', undefined],
  ['POST', '/episodes/search', { question: QUESTION }],
  ['GET', '/episodes/map', undefined],
  ['POST', '/episodes/{id}/feedback', { correct: true }],
  ['GET', '/livez', undefined],
  ['GET', '/readyz', undefined],
  ['GET', '/deletions/{id}', undefined],
  ['GET', '/admin/consolidations', undefined],
  ['GET', '/admin/consolidations/{id}', undefined],
  ['GET', '/admin/artifacts', undefined],
  ['POST', '/admin/artifacts/{id}/activate', undefined],
  ['GET', '/admin/learning/days', undefined],
])('the 200 of %s %s matches the contract', async (method, path, payload) => {
  const thing = THINGS.find(({ under }) => path.startsWith(under))
  const url = path.replace('{id}', thing?.id ?? '')
  const response = await app.inject({ method: method as 'GET', url, ...(payload && { payload }) })
  expect(response.statusCode).toBe(200)
  const media = document.paths[path]?.[method.toLowerCase()]?.responses['200']?.content?.['application/json']
  expect(compile(media?.schema ?? expect.unreachable('no schema')).Errors(response.json())).toEqual([
    true,
    [],
  ])
})

test.each([
  ['/admin/freeze', false],
  ['/admin/artifacts/{id}/activate', false],
  ['/admin/consolidations', true],
])('the body of POST %s is required: %s', async (path, required) => {
  expect(document.paths[path]?.['post']?.requestBody?.required).toBe(required)
  const url = path.replace('{id}', ARTIFACT.id)
  const { statusCode } = await app.inject({ method: 'POST', url })
  expect(statusCode === 400).toBe(required)
})

test('a problem matches the contract', async () => {
  const response = await app.inject({ method: 'POST', url: '/solve', payload: { question: 1 } })
  const media = document.paths['/solve']?.['post']?.responses['400']?.content?.['application/problem+json']
  expect(compile(media?.schema ?? expect.unreachable('no schema')).Errors(response.json())).toEqual([
    true,
    [],
  ])
})
