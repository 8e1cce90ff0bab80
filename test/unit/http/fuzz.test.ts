/** @file Sends random requests, the same on every run, and expects no 5xx. */

import type { InjectOptions } from 'fastify'
import { Compile } from 'typebox/compile'
import { expect, test } from 'vitest'
import { SolveRequest, Strategy } from '../../../src/http/schemas/solve.ts'
import { EPISODE, QUESTION, scriptedSolver, testApp } from '../../support/http-app.ts'
import { createRandomJson, STRANGE_STRINGS } from '../../support/random-json.ts'

const SEED = 20_260_301
const REQUESTS = 2_000

const STRINGS = [
  ...STRANGE_STRINGS,
  'é',
  '\n',
  'lto',
  '1',
  'null',
  '../',
  '%',
  '<script>',
  'x'.repeat(20_000),
]
const NAMES = [
  ...Object.keys(SolveRequest.properties),
  'maxIterations',
  'maxMs',
  'topK',
  'verifier',
  'lrm',
  'format',
  'tenantId',
  'constructor',
  'toString',
  '',
  '~',
  '/',
]

const VALID = {
  question: QUESTION,
  strategy: 'auto',
  samples: 4,
  budget: { maxIterations: 4, maxMs: 100 },
  retrieval: { topK: 1, minSimilarity: 0.5 },
  weaver: true,
  reward: { verifier: 1, format: 2 },
  reference: '1',
  learn: true,
  seed: 1,
  explain: false,
}

const { below, pick, chance, anything, almostValid } = createRandomJson(SEED, {
  strings: STRINGS,
  names: NAMES,
  values: [],
})

/** Returns JSON with some of its bytes replaced or cut off. */
function mangled(): Buffer {
  const bytes = Buffer.from(JSON.stringify(chance(0.5) ? VALID : anything()))
  for (let changes = 1 + below(4); changes > 0 && bytes.length > 0; changes -= 1)
    bytes[below(bytes.length)] = below(256)
  return bytes.subarray(0, chance(0.3) ? below(bytes.length + 1) : bytes.length)
}

function request(): InjectOptions {
  const payload = pick([
    () => JSON.stringify(almostValid(VALID)),
    () => JSON.stringify(anything()),
    mangled,
  ])()
  const headers: Record<string, string> = {
    'content-type': chance(0.9)
      ? 'application/json'
      : pick(['text/plain', 'application/xml', 'a/b/c', ';', 'application/json;charset=x']),
  }
  if (chance(0.1))
    headers['accept'] = pick(['*/*', 'text/html', 'application/*;q=2', 'text/event-stream', ',,,', 'q=1'])
  if (chance(0.7)) return { method: 'POST', url: '/solve', headers, payload }
  if (chance(0.5)) return { method: 'POST', url: `/episodes/${EPISODE.id}/feedback`, headers, payload }
  const method = pick(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'] as const)
  const path = pick(['/solve', '/episodes', '/livez', '/docs', ''])
  const url = `${path}/${encodeURIComponent(pick(STRINGS.filter((text) => text.isWellFormed())).slice(0, 200))}?${pick(['limit', 'cursor', '__proto__', 'x'])}=${below(200)}`
  return {
    method,
    url,
    headers,
    payload: method === 'GET' || method === 'HEAD' ? undefined : payload,
  } as InjectOptions
}

test(`${REQUESTS} random requests (seed ${SEED}) get an answer below 500, and a problem from 400 on`, async () => {
  const { solver, requests } = scriptedSolver()
  const app = testApp({ solver })
  const isValid = Compile({ 'Strategy#': Strategy }, SolveRequest)
  const counts = new Map<number, number>()
  for (let index = 0; index < REQUESTS; index += 1) {
    const options = request()
    const response = await app.inject(options)
    counts.set(response.statusCode, (counts.get(response.statusCode) ?? 0) + 1)
    if (response.statusCode >= 500)
      expect.unreachable(
        `${response.statusCode} to request ${index}: ${JSON.stringify(options).slice(0, 2_000)}`,
      )
    if (response.statusCode >= 400 && options.method !== 'HEAD') {
      expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
      expect(response.json()).toMatchObject({
        status: response.statusCode,
        code: expect.stringMatching(/^[A-Z_]+$/),
      })
    }
  }
  await app.close()
  // The requests must reach both sides of every check, otherwise the test proves nothing.
  for (const status of [200, 400, 404, 405, 406, 415])
    expect(counts.get(status), String(status)).toBeGreaterThan(10)
  for (const { tenantId, ...body } of requests) {
    expect(tenantId).toBe('default')
    expect(isValid.Check(body)).toBe(true)
  }
})
