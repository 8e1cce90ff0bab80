/**
 * @file Invalid requests are answered with the right 4xx, its code and a pointer to each fault, never with a
 * 5xx.
 */

import type { InjectOptions } from 'fastify'
import { afterAll, expect, test } from 'vitest'
import { MAX_CANDIDATES } from '#decoder'
import {
  ARTIFACT,
  CONSOLIDATION,
  EPISODE,
  memoryConsolidations,
  QUESTION,
  scriptedSolver,
  testApp,
} from '../../support/http-app.ts'

const { solver, requests } = scriptedSolver()
const FOREIGN = { ...ARTIFACT, id: 'of-another-model', fingerprint: 'cafe' }
const { admin, wishes } = memoryConsolidations({ artifacts: [ARTIFACT, FOREIGN] })
const app = testApp({ solver, admin })
afterAll(() => app.close())

interface Expectation {
  readonly status: number
  readonly code: string
  readonly pointers?: readonly string[]
}

const invalid = (...pointers: string[]): Expectation => ({ status: 400, code: 'REQUEST_INVALID', pointers })
const feedback = `/episodes/${EPISODE.id}/feedback`

async function expectProblem(options: InjectOptions, expected: Expectation) {
  const before = requests.length
  const response = await app.inject(options)
  const problem = response.json()
  expect({ status: response.statusCode, code: problem.code }).toEqual({
    status: expected.status,
    code: expected.code,
  })
  expect(response.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(problem).toMatchObject({ status: expected.status, instance: response.headers['x-request-id'] })
  expect(problem.type).toBe(`urn:circadian:problem:${problem.code.toLowerCase().replaceAll('_', '-')}`)
  if (expected.pointers !== undefined) {
    expect((problem.errors ?? []).map(({ pointer }: { pointer: string }) => pointer)).toEqual(
      expected.pointers,
    )
  }
  expect(requests.length).toBe(before)
  return problem
}

const q = { question: QUESTION }

const bodies: [string, unknown, string[]][] = [
  ['nothing but an object', {}, ['/question']],
  ['an array', [q], ['']],
  ['a string', '"question"', ['']],
  ['a number', '42', ['']],
  ['null', 'null', ['']],
  ['true', 'true', ['']],
  ['an empty question', { question: '' }, ['/question']],
  ['a question that is a number', { question: 5 }, ['/question']],
  ['a question that is null', { question: null }, ['/question']],
  ['a question of 16,385 characters', { question: 'x'.repeat(16_385) }, ['/question']],
  ['a question of 16,385 characters outside the BMP', { question: '👍'.repeat(16_385) }, ['/question']],
  ['NUL in a question', { question: 'a\u0000b' }, ['/question']],
  ['a bell in a question', { question: '\u0007' }, ['/question']],
  ['escape in a question', { question: '\u001b[31m' }, ['/question']],
  ['vertical tab in a question', { question: 'a\u000bb' }, ['/question']],
  ['DEL in a question', { question: 'a\u007fb' }, ['/question']],
  ['a C1 control in a question', { question: 'a\u0085b' }, ['/question']],
  ['a lone high surrogate', '{"question":"a\\ud83d"}', ['/question']],
  ['a lone low surrogate', '{"question":"\\udc4d b"}', ['/question']],
  ['surrogates in the wrong order', '{"question":"\\udc4d\\ud83d"}', ['/question']],
  ['a lone surrogate in the reference', '{"question":"x","reference":"\\udfff"}', ['/reference']],
  ['a control character in the reference', { ...q, reference: '\u0001' }, ['/reference']],
  ['an empty reference', { ...q, reference: '' }, ['/reference']],
  ['a reference of 1,025 characters', { ...q, reference: 'x'.repeat(1025) }, ['/reference']],
  ['an unknown field', { ...q, temperature: 1 }, ['/temperature']],
  ['a misspelt field', { ...q, Samples: 4 }, ['/Samples']],
  ['an unknown field with / and ~ in its name', { ...q, 'a/b~c': 1 }, ['/a~1b~0c']],
  ['an unknown field of the budget', { ...q, budget: { maxSeconds: 1 } }, ['/budget/maxSeconds']],
  ['the tenant', { ...q, tenantId: 'other' }, ['/tenantId']],
  ['an unknown strategy', { ...q, strategy: 'magic' }, ['/strategy']],
  ['a strategy in capitals', { ...q, strategy: 'AUTO' }, ['/strategy']],
  ['no samples', { ...q, samples: 0 }, ['/samples']],
  ['65 samples', { ...q, samples: 65 }, ['/samples']],
  ['half a sample', { ...q, samples: 1.5 }, ['/samples']],
  ['samples as text', { ...q, samples: '4' }, ['/samples']],
  ['samples as true', { ...q, samples: true }, ['/samples']],
  ['samples in a list', { ...q, samples: [4] }, ['/samples']],
  ['samples beyond any number', '{"question":"x","samples":1e999}', ['/samples']],
  ['sampling that is a number', { ...q, sampling: 0.7 }, ['/sampling']],
  ['sampling: null', { ...q, sampling: null }, ['/sampling']],
  ['a temperature of 0', { ...q, sampling: { temperature: 0 } }, ['/sampling/temperature']],
  ['a temperature above 4', { ...q, sampling: { temperature: 4.1 } }, ['/sampling/temperature']],
  ['an infinite temperature', '{"question":"x","sampling":{"temperature":1e999}}', ['/sampling/temperature']],
  ['a negative top-k', { ...q, sampling: { topK: -1 } }, ['/sampling/topK']],
  ['half a token of top-k', { ...q, sampling: { topK: 2.5 } }, ['/sampling/topK']],
  ['a top-k above the bound', { ...q, sampling: { topK: MAX_CANDIDATES + 1 } }, ['/sampling/topK']],
  ['a top-p of 0', { ...q, sampling: { topP: 0 } }, ['/sampling/topP']],
  ['a top-p above 1', { ...q, sampling: { topP: 1.01 } }, ['/sampling/topP']],
  ['a negative min-p', { ...q, sampling: { minP: -0.1 } }, ['/sampling/minP']],
  ['min-p as text', { ...q, sampling: { minP: '0.1' } }, ['/sampling/minP']],
  ['no penalty factor', { ...q, sampling: { repetitionPenalty: 0 } }, ['/sampling/repetitionPenalty']],
  ['a penalty of 11', { ...q, sampling: { repetitionPenalty: 11 } }, ['/sampling/repetitionPenalty']],
  ['sampling in snake case', { ...q, sampling: { top_k: 5 } }, ['/sampling/top_k']],
  ['a budget that is a number', { ...q, budget: 5 }, ['/budget']],
  ['negative iterations', { ...q, budget: { maxIterations: -1 } }, ['/budget/maxIterations']],
  ['257 iterations', { ...q, budget: { maxIterations: 257 } }, ['/budget/maxIterations']],
  ['no new tokens', { ...q, budget: { maxNewTokens: 0 } }, ['/budget/maxNewTokens']],
  ['32,769 new tokens', { ...q, budget: { maxNewTokens: 32_769 } }, ['/budget/maxNewTokens']],
  ['no milliseconds', { ...q, budget: { maxMs: 0 } }, ['/budget/maxMs']],
  ['more than ten minutes', { ...q, budget: { maxMs: 600_001 } }, ['/budget/maxMs']],
  ['retrieval: true', { ...q, retrieval: true }, ['/retrieval']],
  ['retrieval: null', { ...q, retrieval: null }, ['/retrieval']],
  ['retrieval as text', { ...q, retrieval: 'false' }, ['/retrieval']],
  ['topK as text', { ...q, retrieval: { topK: '3' } }, ['/retrieval/topK']],
  ['topK of 65', { ...q, retrieval: { topK: 65 } }, ['/retrieval/topK']],
  ['a similarity above 1', { ...q, retrieval: { minSimilarity: 1.01 } }, ['/retrieval/minSimilarity']],
  ['an unknown field of retrieval', { ...q, retrieval: { k: 3 } }, ['/retrieval/k']],
  ['weaver as text', { ...q, weaver: 'yes' }, ['/weaver']],
  ['weaver as 1', { ...q, weaver: 1 }, ['/weaver']],
  ['a negative weight', { ...q, reward: { verifier: -1 } }, ['/reward/verifier']],
  ['an infinite weight', '{"question":"x","reward":{"lrm":1e999}}', ['/reward/lrm']],
  ['all weights 0', { ...q, reward: { verifier: 0, lrm: 0, format: 0 } }, ['/reward']],
  ['a weight that is null', { ...q, reward: { format: null } }, ['/reward/format']],
  ['learn as null', { ...q, learn: null }, ['/learn']],
  ['a negative seed', { ...q, seed: -1 }, ['/seed']],
  ['a seed of 2^53', { ...q, seed: 2 ** 53 }, ['/seed']],
  ['explain as 0', { ...q, explain: 0 }, ['/explain']],
  ['samples without a vote', { ...q, strategy: 'latentseek', samples: 4 }, ['/samples']],
  ['sampling without samples', { ...q, strategy: 'greedy', sampling: { topP: 0.9 } }, ['/sampling']],
  ['sampling beside branches', { ...q, strategy: 'fork', sampling: { minP: 0.1 } }, ['/sampling']],
  ['a selector beside a vote', { ...q, strategy: 'majority', selector: 'lrm' }, ['/selector']],
  ['weights of votes without a vote', { ...q, strategy: 'lto', weights: 'judge' }, ['/weights']],
  ['three faults', { question: '', samples: 0, zeal: 1 }, ['/zeal', '/question', '/samples']],
  ['malformed JSON', '{"question": "x"', ['']],
  ['two JSON documents', '{"question":"x"}{}', ['']],
  ['a trailing comma', '{"question":"x",}', ['']],
  ['NaN', '{"question":"x","samples":NaN}', ['']],
  ['__proto__ as a key', '{"question":"x","__proto__":{"admin":true}}', ['']],
  ['__proto__ as an escaped key', '{"question":"x","\\u005f_proto__":{}}', ['']],
  ['a nested __proto__', '{"question":"x","budget":{"__proto__":{"maxMs":1}}}', ['']],
  ['constructor.prototype', '{"question":"x","constructor":{"prototype":{}}}', ['']],
  ['a constructor', '{"question":"x","constructor":1}', ['/constructor']],
  ['an own hasOwnProperty', '{"question":"x","hasOwnProperty":1}', ['/hasOwnProperty']],
  ['100,000 arrays in one another', '['.repeat(100_000) + ']'.repeat(100_000), ['']],
  [
    '10,000 unknown fields',
    { ...q, ...Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`f${n}`, n])) },
    Array.from({ length: 8 }, (_, n) => `/f${n}`),
  ],
]

test.each(bodies)('POST /solve refuses %s', async (_name, body, pointers) => {
  const payload = typeof body === 'string' ? body : JSON.stringify(body)
  await expectProblem(
    { method: 'POST', url: '/solve', headers: { 'content-type': 'application/json' }, payload },
    invalid(...pointers),
  )
})

test.each<[string, InjectOptions, Expectation]>([
  ['an empty body', { payload: '' }, invalid('')],
  ['no body and no content type', { headers: {} }, invalid('')],
  [
    'bytes that are not UTF-8',
    { payload: Buffer.from([...Buffer.from('{"question":"'), 0xff, 0xfe, ...Buffer.from('"}')]) },
    invalid(''),
  ],
  ['UTF-16', { payload: Buffer.from('{"question":"x"}', 'utf16le') }, invalid('')],
  [
    '1 MB',
    { payload: JSON.stringify({ question: 'x'.repeat(2 ** 20) }) },
    { status: 413, code: 'BODY_TOO_LARGE' },
  ],
  [
    'a content length over the limit',
    { headers: { 'content-type': 'application/json', 'content-length': '999999999' }, payload: '{}' },
    { status: 413, code: 'BODY_TOO_LARGE' },
  ],
  [
    'no content type',
    { headers: { 'content-type': '' }, payload: '{"question":"x"}' },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    'text/plain',
    { headers: { 'content-type': 'text/plain' }, payload: '{"question":"x"}' },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    'a form',
    { headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: 'question=x' },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    'another JSON',
    { headers: { 'content-type': 'application/merge-patch+json' }, payload: '{}' },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    'no media type at all',
    { headers: { 'content-type': 'nonsense' }, payload: '{}' },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    'a gzipped body',
    {
      headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      payload: '{"question":"x"}',
    },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    'Accept: text/html',
    { headers: { accept: 'text/html' }, payload: '{"question":"x"}' },
    { status: 406, code: 'NOT_ACCEPTABLE' },
  ],
  [
    'Accept that refuses JSON',
    { headers: { accept: 'application/json;q=0, text/html' }, payload: '{"question":"x"}' },
    { status: 406, code: 'NOT_ACCEPTABLE' },
  ],
  [
    'Accept that is garbage',
    { headers: { accept: ';;;=' }, payload: '{"question":"x"}' },
    { status: 406, code: 'NOT_ACCEPTABLE' },
  ],
])('POST /solve refuses %s', async (_name, options, expected) => {
  await expectProblem(
    { method: 'POST', url: '/solve', headers: { 'content-type': 'application/json' }, ...options },
    expected,
  )
})

const missingEpisode: Expectation = { status: 404, code: 'EPISODE_NOT_FOUND' }
const missingDeletion: Expectation = { status: 404, code: 'DELETION_NOT_FOUND' }
const missingArtifact: Expectation = { status: 404, code: 'ARTIFACT_NOT_FOUND' }
const missingConsolidation: Expectation = { status: 404, code: 'CONSOLIDATION_NOT_FOUND' }
const missingRoute: Expectation = { status: 404, code: 'ROUTE_NOT_FOUND' }

test.each<[InjectOptions, Expectation]>([
  [{ url: '/episodes?limit=0' }, invalid('/limit')],
  [{ url: '/episodes?limit=101' }, invalid('/limit')],
  [{ url: '/episodes?limit=ten' }, invalid('/limit')],
  [{ url: '/episodes?limit=1.5' }, invalid('/limit')],
  [{ url: '/episodes?limit=0x10' }, invalid('/limit')],
  [{ url: '/episodes?limit=' }, invalid('/limit')],
  [{ url: '/episodes?limit=1&limit=2' }, invalid('/limit')],
  [{ url: '/episodes?limit=99999999999999999999' }, invalid('/limit')],
  [{ url: '/episodes?cursor=' }, invalid('/cursor')],
  [{ url: '/episodes?cursor=%00' }, invalid('/cursor')],
  [{ url: `/episodes?cursor=${'x'.repeat(513)}` }, invalid('/cursor')],
  [{ url: '/episodes?offset=3' }, invalid('/offset')],
  [{ url: '/episodes?__proto__=3' }, invalid('/__proto__')],
  [
    { url: '/episodes', headers: { accept: 'text/event-stream' } },
    { status: 406, code: 'NOT_ACCEPTABLE' },
  ],
  [{ url: '/episodes/nobody' }, missingEpisode],
  [{ url: '/episodes/%00' }, missingEpisode],
  [{ url: '/episodes/..%2f..%2fetc%2fpasswd' }, missingEpisode],
  [{ url: '/episodes/%F0%9F%91%8D' }, missingEpisode],
  [{ url: `/episodes/${'x'.repeat(5_000)}` }, missingEpisode],
  [{ url: "/episodes/' or 1=1 --" }, missingEpisode],
  [{ method: 'DELETE', url: '/episodes/nobody' }, missingEpisode],
  [{ url: '/deletions/nobody' }, missingDeletion],
  [{ url: '/deletions/%00' }, missingDeletion],
  [{ url: `/deletions/${'x'.repeat(5_000)}` }, missingDeletion],
  [{ method: 'POST', url: '/episodes/nobody/feedback', payload: { correct: true } }, missingEpisode],
  [{ method: 'POST', url: feedback, payload: {} }, invalid('/correct')],
  [{ method: 'POST', url: feedback, payload: { correct: 'yes' } }, invalid('/correct')],
  [{ method: 'POST', url: feedback, payload: { correct: 1 } }, invalid('/correct')],
  [{ method: 'POST', url: feedback, payload: { answer: '' } }, invalid('/answer')],
  [{ method: 'POST', url: feedback, payload: { answer: ' ' } }, invalid('/answer')],
  [{ method: 'POST', url: feedback, payload: { answer: 7 } }, invalid('/answer')],
  [{ method: 'POST', url: feedback, payload: { answer: 'x'.repeat(1025) } }, invalid('/answer')],
  [{ method: 'POST', url: feedback, payload: { answer: '\u0000' } }, invalid('/answer')],
  [{ method: 'POST', url: feedback, payload: { correct: true, answer: '7' } }, invalid('/answer')],
  [{ method: 'POST', url: feedback, payload: { correct: true, note: 'x' } }, invalid('/note')],
  [
    { method: 'POST', url: feedback, payload: 'null', headers: { 'content-type': 'application/json' } },
    invalid(''),
  ],
  [{ method: 'POST', url: feedback }, invalid('')],
  [{ url: '/' }, missingRoute],
  [{ url: '/solves' }, missingRoute],
  [{ url: '/solve/' }, missingRoute],
  [{ url: '/SOLVE' }, missingRoute],
  [{ url: '//solve' }, missingRoute],
  [{ url: '/episodes/a/b' }, missingRoute],
  [{ url: '/admin' }, missingRoute],
  [{ url: `/admin/artifacts/${ARTIFACT.id}` }, missingRoute],
  [{ url: '/docs/static/../../package.json' }, missingRoute],
  [{ url: '/docs/static/%2e%2e/%2e%2e/package.json' }, missingRoute],
  [{ url: '/docs/static/nothing.js' }, missingRoute],
  [
    { method: 'POST', url: '/nowhere', payload: '{', headers: { 'content-type': 'application/json' } },
    missingRoute,
  ],
  [
    {
      method: 'POST',
      url: '/nowhere',
      payload: 'x'.repeat(2 ** 20),
      headers: { 'content-type': 'text/plain' },
    },
    missingRoute,
  ],
  [{ url: '/%zz' }, { status: 400, code: 'REQUEST_INVALID' }],
  [{ url: '/episodes/%E0%A4%A' }, { status: 400, code: 'REQUEST_INVALID' }],
])('%j is answered with %j', async (options, expected) => {
  await expectProblem(options, expected)
})

const consolidate = (payload: unknown): InjectOptions => ({
  method: 'POST',
  url: '/admin/consolidations',
  headers: { 'content-type': 'application/json' },
  payload: typeof payload === 'string' ? payload : JSON.stringify(payload),
})
const activate = (id: string): InjectOptions => ({ method: 'POST', url: `/admin/artifacts/${id}/activate` })

test.each<[InjectOptions, Expectation]>([
  [{ method: 'POST', url: '/admin/consolidations' }, invalid('')],
  [consolidate(''), invalid('')],
  [consolidate('{'), invalid('')],
  [consolidate('null'), invalid('')],
  [consolidate([]), invalid('')],
  [consolidate({ artifacts: [] }), invalid('/artifacts')],
  [consolidate({ artifacts: 'lrm' }), invalid('/artifacts')],
  [consolidate({ artifacts: null }), invalid('/artifacts')],
  [consolidate({ artifacts: ['lrm', 'lrm'] }), invalid('/artifacts')],
  [consolidate({ artifacts: ['LRM'] }), invalid('/artifacts/0')],
  [consolidate({ artifacts: ['weavers'] }), invalid('/artifacts/0')],
  [consolidate({ force: 'true' }), invalid('/force')],
  [consolidate({ force: 1 }), invalid('/force')],
  [consolidate({ force: null }), invalid('/force')],
  [consolidate({ fingerprint: 'other' }), invalid('/fingerprint')],
  [consolidate({ trigger: 'schedule' }), invalid('/trigger')],
  [
    { ...consolidate('{}'), headers: { 'content-type': 'text/plain' } },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  ],
  [
    { ...consolidate('{}'), headers: { 'content-type': 'application/json', accept: 'text/html' } },
    { status: 406, code: 'NOT_ACCEPTABLE' },
  ],
  [{ url: '/admin/consolidations?limit=0' }, invalid('/limit')],
  [{ url: '/admin/consolidations?limit=101' }, invalid('/limit')],
  [{ url: '/admin/consolidations?cursor=x' }, invalid('/cursor')],
  [{ url: '/admin/consolidations/' }, missingConsolidation],
  [{ url: '/admin/consolidations/nobody' }, missingConsolidation],
  [{ url: '/admin/consolidations/%00' }, missingConsolidation],
  [{ url: `/admin/consolidations/${ARTIFACT.id}` }, missingConsolidation],
  [{ url: `/admin/consolidations/${'x'.repeat(5_000)}` }, missingConsolidation],
  [{ url: '/admin/artifacts?limit=ten' }, invalid('/limit')],
  [{ url: '/admin/artifacts?kind=lrms' }, invalid('/kind')],
  [{ url: '/admin/artifacts?kind=' }, invalid('/kind')],
  [{ url: '/admin/artifacts?fingerprint=x' }, invalid('/fingerprint')],
  [activate('nobody'), missingArtifact],
  [activate('..%2f..%2fetc'), missingArtifact],
  [activate(CONSOLIDATION.id), missingArtifact],
  [activate(FOREIGN.id), { status: 409, code: 'ARTIFACT_INVALID' }],
])('%j is answered with %j', async (options, expected) => {
  await expectProblem(options, expected)
  expect(wishes).toEqual([])
})

test.each<[InjectOptions['method'], string, string]>([
  ['GET', '/solve', 'POST'],
  ['HEAD', '/solve', 'POST'],
  ['PUT', '/solve', 'POST'],
  ['PATCH', '/solve', 'POST'],
  ['OPTIONS', '/solve', 'POST'],
  ['DELETE', '/solve?x=1', 'POST'],
  ['POST', '/episodes', 'DELETE, GET, HEAD'],
  ['DELETE', `/deletions/${EPISODE.id}`, 'GET, HEAD'],
  ['PUT', `/episodes/${EPISODE.id}`, 'DELETE, GET, HEAD'],
  ['POST', '/episodes/map', 'DELETE, GET, HEAD'],
  ['GET', feedback, 'POST'],
  ['PUT', '/admin/consolidations', 'GET, HEAD, POST'],
  ['DELETE', `/admin/consolidations/${CONSOLIDATION.id}`, 'GET, HEAD'],
  ['GET', `/admin/artifacts/${ARTIFACT.id}/activate`, 'POST'],
  ['POST', '/livez', 'GET, HEAD'],
  ['DELETE', '/readyz', 'GET, HEAD'],
  ['POST', '/openapi.yaml', 'GET, HEAD'],
])('%s %s is not allowed, %s is', async (method, url, allow) => {
  const response = await app.inject({
    method,
    url,
    payload: method === 'GET' ? undefined : '{',
  } as InjectOptions)
  expect(response.statusCode).toBe(405)
  expect(response.headers.allow).toBe(allow)
  if (method !== 'HEAD') expect(response.json().code).toBe('METHOD_NOT_ALLOWED')
})

test('describes the expected value in words', async () => {
  const details: [unknown, string][] = [
    [{ ...q, samples: 0 }, 'expected a number >= 1'],
    [{ ...q, samples: 'x' }, 'expected an integer'],
    [{ ...q, strategy: 'magic' }, 'expected one of auto, greedy, latentseek, majority, lto, best-of-n, fork'],
    [{ ...q, retrieval: 'no' }, 'expected an object or false'],
    [{ ...q, zeal: 1 }, 'unknown field'],
    [{}, 'expected a value, got none'],
    [{ question: '\ud800' }, 'expected text without lone surrogates'],
    [{ ...q, reward: { verifier: 0, lrm: 0, format: 0 } }, 'expected a weight above 0'],
    [{ question: '' }, 'expected 1 or more characters'],
    [{ question: 'x'.repeat(16_385) }, 'expected at most 16384 characters'],
    [{ question: '\u0000' }, 'expected text without control characters (tab and line breaks are fine)'],
  ]
  for (const [payload, detail] of details) {
    const response = await app.inject({ method: 'POST', url: '/solve', payload: payload as object })
    expect(response.json().errors[0].detail).toBe(detail)
  }
})

test('accepts the longest question in any notation', async () => {
  const before = requests.length
  for (const payload of [
    JSON.stringify({ question: '\n'.repeat(16_384) }),
    JSON.stringify({ question: '👍'.repeat(16_384) }),
    `{"question":"${'\\ud83d\\udc4d'.repeat(16_384)}"}`,
  ]) {
    const response = await app.inject({
      method: 'POST',
      url: '/solve',
      headers: { 'content-type': 'application/json; charset=utf-8' },
      payload,
    })
    expect(response.statusCode).toBe(200)
  }
  expect(requests.length).toBe(before + 3)
})

test.each(['utf-16', 'UTF-16LE', 'iso-8859-1', '"utf-7"', 'x'])('refuses the charset %s', async (charset) => {
  await expectProblem(
    {
      method: 'POST',
      url: '/solve',
      headers: { 'content-type': `application/json; charset=${charset}` },
      payload: '{"question":"x"}',
    },
    { status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' },
  )
})

test.each(['; charset=utf-8', ';charset="UTF-8"', '; charset=utf8', '; version=1', ';'])(
  'accepts application/json%s',
  async (parameters) => {
    const response = await app.inject({
      method: 'POST',
      url: '/solve',
      headers: { 'content-type': `application/json${parameters}` },
      payload: '{"question":"x"}',
    })
    expect(response.statusCode).toBe(200)
  },
)
