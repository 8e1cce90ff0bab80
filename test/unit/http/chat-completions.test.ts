/** @file `/v1/chat/completions` and `/v1/models` on a scripted solver: parameters, answers, streams and OpenAI's errors. */

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, suite, test, vi } from 'vitest'
import { ServiceError } from '#errors'
import { createAuthenticator } from '#keys'
import { type SolveEvent, STRATEGIES } from '#solving'
import { listen, type Script, SOLUTION, scriptedSolver, testApp } from '../../support/http-app.ts'
import { open } from '../../support/raw-http.ts'

type ChatParameters = OpenAI.ChatCompletionCreateParamsNonStreaming

/** What the solver of the shared app does next, and what it was asked. */
let script: Script = async () => SOLUTION
const { solver, requests } = scriptedSolver((...asked) => script(...asked))
const shared = testApp({ solver })
let sharedUrl = ''
const apps = [shared]
beforeAll(async () => {
  sharedUrl = (await listen(shared)).url
}, 30_000)
beforeEach(() => {
  script = async () => SOLUTION
  requests.length = 0
})
afterAll(async () => {
  await Promise.all(apps.map((app) => app.close()))
})

/** Starts an app of its own on the same script. */
async function listenWith(deps: Parameters<typeof testApp>[0]) {
  const app = testApp({ solver, ...deps })
  apps.push(app)
  return listen(app)
}

const user = (content: unknown) => ({ role: 'user', content })
const HELLO = { model: 'circadian/auto', messages: [user('6 + 4?')] }

async function ask(body: object, answer?: Script) {
  if (answer !== undefined) script = answer
  const response = await shared.inject({ method: 'POST', url: '/v1/chat/completions', payload: body })
  return { status: response.statusCode, body: response.json(), headers: response.headers }
}

/** Asks with parameters that the solver accepts, and returns what it was asked. */
async function requestOf(change: object) {
  requests.length = 0
  const { status, body } = await ask({ ...HELLO, ...change })
  expect(status, JSON.stringify(body)).toBe(200)
  return requests[0]!
}

suite('GET /v1/models', () => {
  test('lists the model and all strategies', async () => {
    const { object, data } = (await shared.inject('/v1/models')).json()
    expect(object).toBe('list')
    expect(data.map(({ id }: { id: string }) => id)).toEqual([
      'order-of-operations',
      ...STRATEGIES.map((strategy) => `circadian/${strategy}`),
    ])
    expect(data[0]).toEqual({
      id: 'order-of-operations',
      object: 'model',
      created: expect.any(Number),
      owned_by: 'circadian',
    })
  })

  test('gives one by its name, and 404 with the list for others', async () => {
    for (const written of ['circadian%2Flto', 'circadian/lto'])
      expect((await shared.inject(`/v1/models/${written}`)).json()).toMatchObject({ id: 'circadian/lto' })
    for (const written of ['gpt-4o', 'a/b/c']) {
      const unknown = await shared.inject(`/v1/models/${written}`)
      expect(unknown.statusCode).toBe(404)
      expect(unknown.json().error).toMatchObject({ code: 'model_not_found', param: 'model' })
    }
  })
})

suite('a completion', () => {
  test('has the text, the exact usage and our fields', async () => {
    const { body, headers } = await ask(HELLO)
    expect(headers['x-episode-id']).toBe(SOLUTION.episodeId)
    const { text: _, thought: __, usage: ___, ...ours } = SOLUTION
    expect(body).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'circadian/auto',
      system_fingerprint: 'fp_f00d',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: SOLUTION.text, refusal: null, annotations: [] },
          finish_reason: 'stop',
          logprobs: null,
        },
      ],
      usage: {
        prompt_tokens: 24,
        completion_tokens: 41,
        total_tokens: 65,
        prompt_tokens_details: { cached_tokens: 16 },
        // 83 decoded, 41 of them the answer; 2 read for judging.
        completion_tokens_details: { reasoning_tokens: 44 },
      },
      circadian: ours,
    })
  })

  test('has the thought of a model that thinks, under both names', async () => {
    const { body } = await ask(HELLO, async () => ({ ...SOLUTION, text: '5', thought: 'so' }))
    expect(body.choices[0].message).toEqual({
      role: 'assistant',
      content: '5',
      refusal: null,
      annotations: [],
      reasoning: 'so',
      reasoning_content: 'so',
    })
  })

  test.each([
    ['end', 'stop'],
    ['length', 'length'],
    ['time', 'length'],
    [null, 'length'],
  ] as const)('that ended by %s has finish_reason %s', async (finish, reason) => {
    const { body } = await ask(HELLO, async () => ({ ...SOLUTION, finish, stopped: 'maxMs' }))
    expect(body.choices[0].finish_reason).toBe(reason)
    expect(body.circadian.stopped).toBe('maxMs')
  })
})

suite('parameters', () => {
  test('defaults are those of POST /solve', async () => {
    expect(await requestOf({})).toEqual({
      tenantId: 'default',
      question: '6 + 4?',
      strategy: 'auto',
      learn: true,
      explain: false,
    })
    expect((await requestOf({ model: 'order-of-operations' })).strategy).toBe('auto')
    expect((await requestOf({ model: 'circadian/lto' })).strategy).toBe('lto')
  })

  test('all reach the solver', async () => {
    const request = await requestOf({
      model: 'circadian/majority',
      messages: [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'developer',
          content: [
            { type: 'text', text: 'In ' },
            { type: 'text', text: 'French.' },
          ],
        },
        user('1 + 1?'),
        { role: 'assistant', content: '2', refusal: null, reasoning: 'easy', reasoning_content: 'easy' },
        { role: 'assistant', content: null },
        { role: 'tool', content: 'found', tool_call_id: 'x' },
        user('And 2?'),
      ],
      stop: 'END',
      max_tokens: 10,
      temperature: 0.5,
      top_p: 0.9,
      seed: 7,
      reasoning_effort: 'high',
      max_reasoning_tokens: 99,
      deadline_ms: 500,
      circadian: {
        reference: '4',
        retrieval: false,
        samples: 3,
        budget: { maxIterations: 2, maxMs: 500 },
        sampling: { topK: 5 },
        explain: true,
      },
      user: 'u',
      metadata: { a: 'b' },
    })
    expect(request).toEqual({
      tenantId: 'default',
      question: 'And 2?',
      strategy: 'majority',
      context: [
        { role: 'system', content: 'Be brief.' },
        { role: 'system', content: 'In French.' },
        { role: 'user', content: '1 + 1?' },
        { role: 'assistant', content: '2', reasoning: 'easy' },
        { role: 'assistant', content: '' },
        { role: 'tool', content: 'found' },
      ],
      stop: ['END'],
      seed: 7,
      effort: 'high',
      samples: 3,
      sampling: { topK: 5, temperature: 0.5, topP: 0.9 },
      budget: { maxIterations: 2, maxMs: 500, maxAnswerTokens: 10, maxSearchTokens: 99 },
      reference: '4',
      retrieval: false,
      learn: true,
      explain: true,
    })
  })

  test('that ask for nothing are accepted, as harnesses and SDKs send them', async () => {
    const request = await requestOf({
      messages: [{ ...user('6 + 4?'), name: 'Ann', type: 'text' }],
      stop: [],
      n: 1,
      temperature: 0,
      top_p: 1,
      logprobs: false,
      top_logprobs: null,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: {},
      response_format: { type: 'text' },
      tools: [],
      tool_choice: 'none',
      parallel_tool_calls: true,
      modalities: ['text'],
      audio: null,
      stream: false,
      stream_options: null,
      service_tier: 'auto',
      reasoning_effort: null,
      max_tokens: null,
      store: null,
    })
    expect(request).toEqual({
      tenantId: 'default',
      question: '6 + 4?',
      strategy: 'auto',
      learn: true,
      explain: false,
    })
  })

  test('no effort and no tokens for the search mean the draft', async () => {
    expect((await requestOf({ reasoning_effort: 'none' })).strategy).toBe('greedy')
    expect(await requestOf({ max_reasoning_tokens: 0 })).toMatchObject({
      strategy: 'greedy',
      budget: { maxSearchTokens: 0 },
    })
  })

  test('store: false keeps nothing', async () => {
    expect((await requestOf({ store: false })).learn).toBe(false)
  })

  test('at temperature 0 there is one sample', async () => {
    expect(await requestOf({ model: 'circadian/majority', temperature: 0 })).toMatchObject({
      samples: 1,
      sampling: { temperature: 0 },
    })
  })
})

suite('a bad request is refused with the name of the parameter', () => {
  const part = (content: unknown) => ({
    messages: [user('1'), { role: 'assistant', content: '2' }, user([content])],
  })
  test.each<[string, object, string | null]>([
    ['no messages', { messages: [] }, 'messages'],
    ['messages that are a text', { messages: 'x' }, 'messages'],
    ['an empty question', { messages: [user(' ')] }, 'messages[0].content'],
    ['a question without content', { messages: [{ role: 'user' }] }, 'messages[0].content'],
    ['an assistant turn last', { messages: [user('1'), { role: 'assistant', content: '2' }] }, 'messages[1]'],
    ['a tool turn last', { messages: [user('1'), { role: 'tool', content: '2' }] }, 'messages[1]'],
    ['3,000 messages', { messages: Array(3_000).fill(user('1')) }, 'messages'],
    ['an unknown field of a message', { messages: [{ ...user('1'), mood: 'x' }] }, 'messages[0].mood'],
    ['an unknown role', { messages: [{ role: 'god', content: '1' }] }, 'messages[0].role'],
    ['an image', part({ type: 'image_url', image_url: { url: 'x' } }), 'messages[2].content[0].type'],
    [
      'audio',
      part({ type: 'input_audio', input_audio: { data: '', format: 'wav' } }),
      'messages[2].content[0].type',
    ],
    ['a file', part({ type: 'file', file: {} }), 'messages[2].content[0].type'],
    ['a control character', { messages: [user('\u0000')] }, 'messages[0].content'],
    ['a lone surrogate', { messages: [user('\ud800')] }, 'messages[0].content'],
    [
      'calls of tools',
      { messages: [{ role: 'assistant', tool_calls: [{}] }, user('1')] },
      'messages[0].tool_calls',
    ],
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
    ['tools with a bad schema', { tools: [{ type: 'function', function: { parameters: 7 } }] }, 'tools'],
    ['a choice of tools', { tool_choice: 'required' }, 'tool_choice'],
    ['functions', { functions: [{}] }, 'functions'],
    ['n', { n: 2 }, 'n'],
    ['logprobs', { logprobs: true }, 'logprobs'],
    ['top_logprobs', { top_logprobs: 2 }, 'top_logprobs'],
    ['a JSON object', { response_format: { type: 'json_object' } }, 'response_format.type'],
    [
      'a JSON schema',
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: {} } } },
      'response_format.type',
    ],
    ['a frequency penalty', { frequency_penalty: 0.1 }, 'frequency_penalty'],
    ['a presence penalty', { presence_penalty: 1 }, 'presence_penalty'],
    ['a logit bias', { logit_bias: { 5: 1 } }, 'logit_bias'],
    ['audio as output', { modalities: ['audio'] }, 'modalities[0]'],
    ['stored completions', { store: true }, 'store'],
    ['five stop sequences', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    ['an empty stop sequence', { stop: '' }, 'stop'],
    ['a temperature that auto does not have', { temperature: 0.7 }, 'temperature'],
    ['a temperature below all', { model: 'circadian/lto', temperature: 0.001 }, 'temperature'],
    ['a top_p of 0', { top_p: 0 }, 'top_p'],
    ['a top_p that auto does not have', { top_p: 0.9 }, 'top_p'],
    [
      'a top_p of a strategy that was put aside',
      { model: 'circadian/lto', top_p: 0.9, reasoning_effort: 'none' },
      'top_p',
    ],
    ['samples of a draft', { model: 'circadian/greedy', circadian: { samples: 2 } }, 'circadian.samples'],
    [
      'sampling beside branches',
      { model: 'circadian/fork', circadian: { sampling: { topK: 5 } } },
      'circadian.sampling',
    ],
    [
      'a selector beside a vote',
      { model: 'circadian/majority', circadian: { selector: 'lrm' } },
      'circadian.selector',
    ],
    ['a negative seed', { seed: -1 }, 'seed'],
    ['options of a stream without one', { stream_options: { include_usage: true } }, 'stream_options'],
    ['an unknown parameter', { beam_width: 3 }, 'beam_width'],
    ['an unknown option of ours', { circadian: { magic: 1 } }, 'circadian.magic'],
    ['a question of ours', { circadian: { question: '1' } }, 'circadian.question'],
    ['an unknown effort', { reasoning_effort: 'heroic' }, 'reasoning_effort'],
  ])('%s', async (_, change, param) => {
    const { status, body } = await ask({ ...HELLO, ...change })
    expect(body.error).toMatchObject({ type: 'invalid_request_error', param, code: 'request_invalid' })
    expect(body.error.message).toContain(param)
    expect(status).toBe(400)
    expect(requests).toEqual([])
  })

  test.each([{ logprobs: true }, { store: true }])('%j cannot be on', async (change) => {
    const { body } = await ask({ ...HELLO, ...change })
    expect(body.error.message).toBe(`${Object.keys(change)[0]}: expected false: true is not supported`)
  })

  test.each<[object, string, string]>([
    [{ max_tokens: 5, max_completion_tokens: 6 }, 'max_tokens', 'max_completion_tokens'],
    [{ seed: 1, circadian: { seed: 2 } }, 'seed', 'circadian.seed'],
    [{ deadline_ms: 5, circadian: { budget: { maxMs: 6 } } }, 'deadline_ms', 'circadian.budget.maxMs'],
    [
      { max_tokens: 9, circadian: { budget: { maxNewTokens: 8 } } },
      'max_tokens',
      'circadian.budget.maxNewTokens',
    ],
    [
      { max_reasoning_tokens: 9, circadian: { budget: { maxSearchTokens: 8 } } },
      'max_reasoning_tokens',
      'circadian.budget.maxSearchTokens',
    ],
    [{ reasoning_effort: 'none', max_reasoning_tokens: 9 }, 'reasoning_effort', 'max_reasoning_tokens'],
    [{ reasoning_effort: 'high', max_reasoning_tokens: 0 }, 'reasoning_effort', 'max_reasoning_tokens'],
    [{ reasoning_effort: 'none', circadian: { samples: 2 } }, 'reasoning_effort', 'circadian.samples'],
    [{ store: false, circadian: { learn: true } }, 'store', 'circadian.learn'],
    [
      { model: 'circadian/lto', top_p: 0.5, circadian: { sampling: { topP: 0.6 } } },
      'top_p',
      'circadian.sampling.topP',
    ],
    [
      { messages: [{ role: 'assistant', content: '', reasoning: 'a', reasoning_content: 'b' }, user('1')] },
      'messages[0].reasoning',
      'messages[0].reasoning_content',
    ],
  ])('%j contradicts itself', async (change, param, other) => {
    const { status, body } = await ask({ ...HELLO, ...change })
    expect(status).toBe(400)
    expect(body.error.param).toBe(param)
    expect(body.error.message).toContain(other)
  })
})

/** Each parameter of OpenAI's request with a value that asks for something, and whether it is supported. */
type EveryParameter = Readonly<Record<keyof ChatParameters, readonly [value: unknown, isSupported: boolean]>>
const EVERY_PARAMETER: EveryParameter = {
  messages: [[user('1 + 1?')], true],
  model: ['circadian/majority', true],
  audio: [{ format: 'wav', voice: 'alloy' }, false],
  frequency_penalty: [0.5, false],
  function_call: [{ name: 'f' }, false],
  functions: [[{ name: 'f' }], false],
  logit_bias: [{ 5: 1 }, false],
  logprobs: [true, false],
  max_completion_tokens: [5, true],
  max_tokens: [5, true],
  metadata: [{ a: 'b' }, true],
  modalities: [['text', 'audio'], false],
  moderation: [{ model: 'omni-moderation-latest' }, false],
  n: [2, false],
  parallel_tool_calls: [false, true],
  prediction: [{ type: 'content', content: '2' }, false],
  presence_penalty: [0.5, false],
  prompt_cache_key: ['x', true],
  prompt_cache_options: [{ ttl: '1h' }, false],
  prompt_cache_retention: ['24h', false],
  reasoning_effort: ['high', true],
  response_format: [{ type: 'json_object' }, false],
  safety_identifier: ['x', true],
  seed: [5, true],
  service_tier: ['flex', false],
  stop: [['x'], true],
  store: [true, false],
  stream: [false, true],
  stream_options: [{ include_usage: true }, false],
  temperature: [0.5, true],
  tool_choice: ['required', false],
  tools: [[{ type: 'function', function: { name: 'f' } }], false],
  top_logprobs: [2, false],
  top_p: [0.5, true],
  user: ['x', true],
  verbosity: ['low', false],
  web_search_options: [{}, false],
}

test.each(Object.entries(EVERY_PARAMETER))(
  'the parameter %s of OpenAI’s request is supported or refused by name',
  async (name, [value, isSupported]) => {
    const { status, body } = await ask({ ...HELLO, model: 'circadian/majority', [name]: value })
    if (isSupported) return expect(status, JSON.stringify(body)).toBe(200)
    expect(status).toBe(400)
    expect(body.error.param.split(/[.[]/)[0]).toBe(name)
    expect(requests).toEqual([])
  },
)

suite('errors', () => {
  test('an unknown model is 404 with the list', async () => {
    const { status, body } = await ask({ ...HELLO, model: 'gpt-4o' })
    expect(status).toBe(404)
    expect(body.error).toMatchObject({ type: 'not_found_error', code: 'model_not_found', param: 'model' })
    expect(body.error.message).toContain('order-of-operations, circadian/auto, circadian/greedy')
  })

  test.each([
    ['a path', 'POST', '/v1/completions', 404, 'route_not_found'],
    ['the root', 'GET', '/v1', 404, 'route_not_found'],
    ['a method', 'GET', '/v1/chat/completions', 405, 'method_not_allowed'],
  ] as const)('%s that does not exist', async (_, method, url, status, code) => {
    const response = await shared.inject({ method, url, ...(method === 'POST' && { payload: {} }) })
    expect(response.statusCode).toBe(status)
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(response.json()).toEqual({
      error: { message: expect.any(String), type: expect.any(String), param: null, code },
    })
  })

  test.each([
    ['no JSON', 'application/json', '{"model":', 400, 'request_invalid'],
    ['no object', 'application/json', '[]', 400, 'request_invalid'],
    ['a form', 'application/x-www-form-urlencoded', 'a=b', 415, 'media_type_unsupported'],
    ['too much', 'application/json', `"${'x'.repeat(300_000)}"`, 413, 'body_too_large'],
    [
      '10,000 messages',
      'application/json',
      JSON.stringify({ ...HELLO, messages: Array(10_000).fill(user('1')) }),
      413,
      'body_too_large',
    ],
  ])('a body that is %s', async (_, type, payload, status, code) => {
    const response = await shared.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { 'content-type': type },
      payload,
    })
    expect(response.statusCode).toBe(status)
    expect(response.json().error).toMatchObject({ code, type: 'invalid_request_error', param: null })
  })

  test.each([
    [
      new ServiceError('ENGINE_OVERLOADED', 'x', { retryAfterSeconds: 3 }),
      503,
      'server_error',
      'engine_overloaded',
    ],
    [new ServiceError('PROMPT_TOO_LONG', 'x'), 400, 'invalid_request_error', 'context_length_exceeded'],
    [new Error('password=hunter2'), 500, 'server_error', 'internal_error'],
  ])('%s of the solver has its own', async (error, status, type, code) => {
    const answer = await ask(HELLO, async () => {
      throw error
    })
    expect(answer.status).toBe(status)
    expect(answer.body.error).toMatchObject({ type, code, param: status === 400 ? 'messages' : null })
    expect(answer.body.error.message).not.toContain('hunter2')
    expect(answer.headers['retry-after']).toBe(status === 503 ? '3' : undefined)
  })

  test('a conversation that is too long has the words by which clients know it', async () => {
    const { body } = await ask(HELLO, async () => {
      throw new ServiceError('PROMPT_TOO_LONG', 'solve: expected 128 tokens, got 4002')
    })
    expect(body.error.message).toBe(
      "This model's maximum context length is exceeded: solve: expected 128 tokens, got 4002",
    )
  })

  test('a context that the chat template does not take names the messages', async () => {
    const { status, body } = await ask(HELLO, async () => {
      throw new ServiceError('REQUEST_INVALID', 'context: no', {
        faults: [{ pointer: '/context', detail: 'no' }],
      })
    })
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ param: 'messages', message: 'messages: no' })
  })

  test('a key that is wrong, revoked or has other scopes', async () => {
    const app = testApp({
      authenticate: createAuthenticator({
        allowAnonymous: false,
        store: {
          find: async (hash) => ({
            anyKeys: true,
            found:
              hash?.[0] === undefined
                ? null
                : { id: 'k', tenantId: 't', scopes: ['metrics'], rate: null, tokens: null },
          }),
        },
      }),
    })
    const none = await app.inject({ method: 'POST', url: '/v1/chat/completions', payload: HELLO })
    expect(none.statusCode).toBe(401)
    expect(none.json().error).toMatchObject({ type: 'authentication_error', code: 'invalid_api_key' })
    const wrong = await app.inject({ url: '/v1/models', headers: { authorization: 'Bearer x' } })
    expect(wrong.statusCode).toBe(403)
    expect(wrong.json().error).toMatchObject({ type: 'permission_error', code: 'scope_missing' })
    await app.close()
  })

  test('an empty bearer is no fault while there are no keys', async () => {
    const response = await shared.inject({ url: '/v1/models', headers: { authorization: 'Bearer ' } })
    expect(response.statusCode).toBe(200)
  })
})

const tokens = (text: string, thought = false): SolveEvent => ({ event: 'tokens', data: { text, thought } })

async function stream(change: object, answer: Script, url = sharedUrl) {
  script = answer
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...HELLO, ...change, stream: true }),
  })
}

function chunksOf(text: string) {
  const lines = text.split('\n\n').filter((block) => block.startsWith('data: '))
  return lines.map((line) => (line === 'data: [DONE]' ? 'DONE' : JSON.parse(line.slice(6))))
}

function reasoningOf(text: string): string {
  const chunks = chunksOf(text).slice(0, -1)
  return chunks.map(({ choices: [choice] }) => choice?.delta.reasoning ?? '').join('')
}

suite('a stream', () => {
  test('of greedy has the draft as it is decoded, the thought apart', async () => {
    const response = await stream({ model: 'circadian/greedy' }, async (_, { onEvent }) => {
      onEvent?.(tokens('so', true))
      onEvent?.(tokens('left : '))
      onEvent?.(tokens('6 + 4'))
      onEvent?.({ event: 'draft', data: { answer: '1', reasoning: '', reward: -1 } })
      return SOLUTION
    })
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const chunks = chunksOf(await response.text())
    expect(chunks.at(-1)).toBe('DONE')
    const choices = chunks.slice(0, -1).map(({ choices: [choice] }) => choice)
    expect(choices.map(({ delta }) => delta)).toEqual([
      { role: 'assistant', reasoning: 'so', reasoning_content: 'so' },
      { content: 'left : ' },
      { content: '6 + 4' },
      { content: SOLUTION.text.slice('left : 6 + 4'.length) },
      {},
    ])
    expect(choices.map(({ finish_reason }) => finish_reason)).toEqual([null, null, null, null, 'stop'])
    expect(new Set(chunks.slice(0, -1).map(({ id }) => id)).size).toBe(1)
    expect(chunks.at(-2).circadian).toMatchObject({ answer: '1', stopped: 'reward' })
    expect(chunks.every((chunk) => chunk === 'DONE' || !('usage' in chunk))).toBe(true)
  })

  test('of a search has what happens as reasoning, then the answer', async () => {
    const response = await stream({}, async (_, { onEvent }) => {
      onEvent?.({ event: 'retrieval', data: { retrieved: SOLUTION.retrieved } })
      onEvent?.(tokens('left'))
      onEvent?.({ event: 'draft', data: { answer: null, reasoning: 'left', reward: -0.97 } })
      onEvent?.({ event: 'iteration', data: { step: 1, reward: -0.04, changed: true, answer: '1' } })
      return SOLUTION
    })
    const chunks = chunksOf(await response.text())
    const deltas = chunks.slice(0, -1).map(({ choices: [choice] }) => choice.delta)
    expect(deltas.map(({ reasoning = '' }) => reasoning).join('')).toBe(
      '\n[memory] 1 similar episodes\nleft\n[draft] no answer, reward -0.970\n\n[update 1] answer 1, reward -0.040\n',
    )
    expect(deltas.every((delta) => delta.reasoning === delta.reasoning_content)).toBe(true)
    expect(deltas.map(({ content = '' }) => content).join('')).toBe(SOLUTION.text)
  })

  test('has the usage in a last chunk without choices when asked', async () => {
    const response = await stream({ stream_options: { include_usage: true } }, async () => SOLUTION)
    const chunks = chunksOf(await response.text())
    expect(chunks.at(-2)).toMatchObject({ choices: [], usage: { completion_tokens: 41, total_tokens: 65 } })
    expect(chunks.slice(0, -2).every(({ usage }) => usage === null)).toBe(true)
  })

  test('sends a piece when it happens, and comments while nothing does', async () => {
    const finish = Promise.withResolvers<typeof SOLUTION>()
    const response = await stream(
      { model: 'circadian/greedy' },
      (_, { onEvent }) => {
        onEvent?.(tokens('left'))
        return finish.promise
      },
      (await listenWith({ limits: { heartbeatMs: 20 } })).url,
    )
    const reader = response.body!.getReader()
    const read = async () => new TextDecoder().decode((await reader.read()).value)
    expect(await read()).toContain('"content":"left"')
    expect(await read()).toBe(': heartbeat\n\n')
    finish.resolve(SOLUTION)
    await reader.cancel()
  })

  test('that fails before its first event has the status of the error, and later an error in the stream', async () => {
    const refused = await stream({}, async () => {
      throw new ServiceError('ENGINE_OVERLOADED', 'x')
    })
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('1')
    const failed = await stream({}, async (_, { onEvent }) => {
      onEvent?.(tokens('left'))
      throw new Error('password=hunter2')
    })
    expect(failed.status).toBe(200)
    const text = await failed.text()
    expect(text).not.toContain('hunter2')
    expect(chunksOf(text).at(-1)).toMatchObject({ error: { code: 'internal_error', type: 'server_error' } })
  })

  test('ends with an error when the text that was sent is not the answer’s', async () => {
    const response = await stream({ model: 'circadian/greedy' }, async (_, { onEvent }) => {
      onEvent?.(tokens('right'))
      return SOLUTION
    })
    expect(chunksOf(await response.text()).at(-1)).toMatchObject({ error: { code: 'internal_error' } })
  })

  const REQUEST = (body: string) =>
    [
      'POST /v1/chat/completions HTTP/1.1',
      'host: localhost',
      'content-type: application/json',
      `content-length: ${body.length}`,
      '',
      body,
    ].join('\r\n')

  test('is cancelled when the caller disconnects', async () => {
    const started = Promise.withResolvers<AbortSignal>()
    script = async (_, { signal, onEvent }) => {
      onEvent?.(tokens('left'))
      started.resolve(signal)
      await once(signal, 'abort')
      throw new ServiceError('ABORTED', 'solve: cancelled')
    }
    const socket = await open(Number(new URL(sharedUrl).port))
    socket.write(REQUEST(JSON.stringify({ ...HELLO, stream: true })))
    const signal = await started.promise
    await once(socket, 'data')
    socket.destroy()
    await vi.waitFor(() => expect(signal.aborted).toBe(true))
  })

  test('is cancelled when its reader stops reading, by bytes long before the time is up', async () => {
    const outcome = Promise.withResolvers<number>()
    script = async (_, { signal, onEvent }) => {
      let sent = 0
      while (!signal.aborted && sent < 2_000) {
        onEvent?.(tokens('x'.repeat(2 ** 16)))
        sent += 1
        await sleep(0)
      }
      outcome.resolve(sent)
      throw new ServiceError('ABORTED', 'solve: cancelled')
    }
    const limits = { stallMs: 600_000, queuedBytes: 2 ** 20 }
    const socket = await open((await listenWith({ limits })).port)
    socket.pause()
    socket.write(REQUEST(JSON.stringify({ ...HELLO, model: 'circadian/greedy', stream: true })))
    expect(await outcome.promise).toBeLessThan(2_000)
    socket.destroy()
  }, 60_000)

  test('of ten stalled readers among a hundred harm no other, and what waits for them is bounded', async () => {
    const [STREAMS, STALLED, CHUNKS] = [100, 10, 20]
    const chunk = 'x'.repeat(2 ** 16)
    const queuedBytes = 2 ** 20
    /** Bytes that the buffers of both ends of a connection may hold. */
    const socketBytes = 16 * 2 ** 20
    const cancelled: number[] = []
    script = async ({ question }, { signal, onEvent }) => {
      if (question === 'stall') {
        let sent = 0
        for (; !signal.aborted; sent += chunk.length) {
          onEvent?.(tokens(chunk))
          await sleep(1)
        }
        cancelled.push(sent)
        throw new ServiceError('ABORTED', 'solve: cancelled')
      }
      for (let sent = 0; sent < CHUNKS; sent += 1) {
        onEvent?.(tokens(`${sent} `))
        await sleep(5)
      }
      return { ...SOLUTION, text: 'whole', thought: null }
    }
    const { url, port } = await listenWith({ limits: { stallMs: 600_000, queuedBytes } })
    const bodyOf = (content: string) =>
      JSON.stringify({ ...HELLO, messages: [{ role: 'user', content }], stream: true })
    const sockets = await Promise.all(
      Array.from({ length: STALLED }, async () => {
        const socket = await open(port)
        socket.pause()
        socket.write(REQUEST(bodyOf('stall')))
        return socket
      }),
    )
    const headers = { 'content-type': 'application/json' }
    const others = await Promise.all(
      Array.from({ length: STREAMS - STALLED }, async () => {
        const body = bodyOf('read')
        return (await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body })).text()
      }),
    )
    const counted = Array.from({ length: CHUNKS }, (_, sent) => `${sent} `).join('')
    for (const text of others) {
      expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
      expect(reasoningOf(text)).toBe(counted)
    }
    await vi.waitFor(() => expect(cancelled).toHaveLength(STALLED), { timeout: 30_000 })
    expect(Math.max(...cancelled)).toBeLessThan(socketBytes + queuedBytes)
    for (const socket of sockets) socket.destroy()
  }, 60_000)
})
