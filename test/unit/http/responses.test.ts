/** @file `/v1/responses` on a scripted solver. */

import type OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, suite, test } from 'vitest'
import { ServiceError } from '#errors'
import { listen, type Script, SOLUTION, scriptedSolver, testApp } from '../../support/http-app.ts'

let script: Script = async () => SOLUTION
const { solver, requests } = scriptedSolver((...asked) => script(...asked))
const app = testApp({ solver })
let origin = ''
beforeAll(async () => {
  origin = (await listen(app)).url
}, 30_000)
beforeEach(() => {
  script = async () => SOLUTION
  requests.length = 0
})
afterAll(() => app.close())

async function ask(change: object) {
  const payload = { model: 'circadian/auto', input: '6 + 4?', ...change }
  const response = await app.inject({ method: 'POST', url: '/v1/responses', payload })
  return { status: response.statusCode, body: response.json() }
}

async function eventsOf(change: object) {
  const response = await fetch(`${origin}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'circadian/auto', input: '6 + 4?', stream: true, ...change }),
  })
  const text = await response.text()
  return [...text.matchAll(/^event: (.*)\ndata: (.*)$/gm)].map(([, event, data]) => {
    const parsed = JSON.parse(data!)
    expect(parsed.type).toBe(event)
    return parsed
  })
}

suite('a response', () => {
  test('has a message, the exact usage and our fields, and is not stored', async () => {
    const { status, body } = await ask({
      instructions: 'Be brief.',
      metadata: { a: 'b' },
      prompt_cache_key: 'x',
    })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      object: 'response',
      status: 'completed',
      error: null,
      incomplete_details: null,
      instructions: 'Be brief.',
      model: 'circadian/auto',
      store: false,
      previous_response_id: null,
      metadata: { a: 'b' },
      // Fields that the specification Open Responses requires.
      completed_at: expect.any(Number),
      temperature: 0,
      top_p: 1,
      frequency_penalty: 0,
      presence_penalty: 0,
      top_logprobs: 0,
      max_tool_calls: null,
      background: false,
      service_tier: 'default',
      safety_identifier: null,
      prompt_cache_key: 'x',
      output: [
        {
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: SOLUTION.text, annotations: [] }],
        },
      ],
      usage: {
        input_tokens: 24,
        input_tokens_details: { cached_tokens: 16 },
        output_tokens: 41,
        output_tokens_details: { reasoning_tokens: 44 },
        total_tokens: 65,
      },
      circadian: { answer: '1', stopped: 'reward' },
    })
    expect(requests[0]).toMatchObject({
      question: '6 + 4?',
      context: [{ role: 'system', content: 'Be brief.' }],
    })
  })

  test('of a strategy that samples has the temperature that was asked for', async () => {
    const temperatureOf = async (change: object) =>
      (await ask({ model: 'circadian/majority', ...change })).body.temperature
    expect(await temperatureOf({ temperature: 0.7 })).toBe(0.7)
    expect(await temperatureOf({})).toBeNull()
  })

  test.each([
    ['length', 'max_output_tokens'],
    ['time', 'deadline'],
  ] as const)('cut by %s is incomplete', async (finish, reason) => {
    script = async () => ({ ...SOLUTION, finish, thought: 'so' })
    const { body } = await ask({})
    expect(body).toMatchObject({
      status: 'incomplete',
      completed_at: null,
      incomplete_details: { reason },
      output: [
        { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'so' }] },
        { type: 'message', status: 'incomplete' },
      ],
    })
  })

  test('takes its own items back as input', async () => {
    script = async () => ({ ...SOLUTION, thought: 'so' })
    const first = await ask({})
    const { status } = await ask({
      input: [
        { role: 'user', content: '6 + 4?' },
        ...first.body.output.map((item: { type: string }) =>
          item.type === 'message' ? { ...item, phase: 'final_answer' } : item,
        ),
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'And 2?' }] },
      ],
      max_output_tokens: 9,
      reasoning: { effort: 'low' },
      store: false,
      circadian: { seed: 3 },
    })
    expect(status).toBe(200)
    expect(requests[1]).toEqual({
      tenantId: 'default',
      question: 'And 2?',
      context: [
        { role: 'user', content: '6 + 4?' },
        { role: 'assistant', content: SOLUTION.text, reasoning: 'so' },
      ],
      strategy: 'auto',
      effort: 'low',
      budget: { maxAnswerTokens: 9 },
      seed: 3,
      learn: false,
      explain: false,
    })
  })
})

suite('a bad request names the parameter', () => {
  const thought = { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'so' }] }
  test.each<[object, string]>([
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ store: true }, 'store'],
    [{ background: true }, 'background'],
    [{ tools: [{ type: 'web_search' }] }, 'tools'],
    [{ text: { format: { type: 'json_schema', name: 'x', schema: {} } } }, 'text.format.type'],
    [{ truncation: 'auto' }, 'truncation'],
    [{ include: ['reasoning.encrypted_content'] }, 'include'],
    [{ input: '' }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: [{ role: 'assistant', content: '2' }] }, 'input[0]'],
    [{ input: [thought, { role: 'user', content: '2' }] }, 'input[1]'],
    [{ input: [{ role: 'user', content: '2' }, thought] }, 'input[1]'],
    [{ temperature: 1 }, 'temperature'],
    [{ top_p: 0.9 }, 'top_p'],
    [{ circadian: { weights: 'lrm' }, model: 'circadian/lto' }, 'circadian.weights'],
    [{ reasoning: { effort: 'none' }, max_reasoning_tokens: 3 }, 'reasoning.effort'],
    [{ stop: ['x'] }, 'stop'],
  ])('%j', async (change, param) => {
    const { status, body } = await ask(change)
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ type: 'invalid_request_error', code: 'request_invalid' })
    expect(body.error.param.startsWith(param), body.error.param).toBe(true)
    expect(requests).toEqual([])
  })

  test('of an image', async () => {
    const input = [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }]
    const { status, body } = await ask({ input })
    expect(status).toBe(400)
    expect(body.error.param).toMatch(/^input/)
  })

  test('of an unknown model is 404', async () => {
    expect((await ask({ model: 'gpt' })).body.error.code).toBe('model_not_found')
  })
})

/** Each parameter of OpenAI's request with a value that asks for something, and whether it is supported. */
type EveryParameter = Readonly<
  Record<
    keyof OpenAI.Responses.ResponseCreateParamsNonStreaming,
    readonly [value: unknown, isSupported: boolean]
  >
>
const EVERY_PARAMETER: EveryParameter = {
  access_programs: [['x'], false],
  background: [true, false],
  background_options: [{}, false],
  context_management: [[{ type: 'compaction' }], false],
  conversation: ['conv_1', false],
  image: [{}, false],
  include: [['reasoning.encrypted_content'], false],
  input: ['1 + 1?', true],
  instructions: ['Be brief.', true],
  max_output_tokens: [5, true],
  max_tool_calls: [1, false],
  metadata: [{ a: 'b' }, true],
  model: ['circadian/majority', true],
  moderation: [{}, false],
  parallel_tool_calls: [false, true],
  previous_response_id: ['resp_1', false],
  prompt: [{ id: 'x' }, false],
  prompt_cache_key: ['x', true],
  prompt_cache_options: [{ ttl: '1h' }, false],
  prompt_cache_retention: ['24h', false],
  reasoning: [{ effort: 'high' }, true],
  safety_identifier: ['x', true],
  service_tier: ['flex', false],
  store: [true, false],
  stream: [false, true],
  stream_options: [{ include_obfuscation: true }, false],
  temperature: [0.5, true],
  text: [{ format: { type: 'json_object' } }, false],
  tool_choice: ['required', false],
  tools: [[{ type: 'web_search' }], false],
  top_logprobs: [2, false],
  top_p: [0.5, true],
  truncation: ['auto', false],
  user: ['x', true],
}

test.each(Object.entries(EVERY_PARAMETER))(
  'the parameter %s of OpenAI’s request is supported or refused by name',
  async (name, [value, isSupported]) => {
    const { status, body } = await ask({ model: 'circadian/majority', [name]: value })
    if (isSupported) return expect(status, JSON.stringify(body)).toBe(200)
    expect(status).toBe(400)
    expect(body.error.param.split(/[.[]/)[0]).toBe(name)
    expect(requests).toEqual([])
  },
)

suite('a stream of events', () => {
  test('adds each item, its text piece by piece, and ends with the whole response', async () => {
    script = async (_, { onEvent }) => {
      onEvent?.({ event: 'tokens', data: { text: 'so', thought: true } })
      onEvent?.({ event: 'tokens', data: { text: 'left', thought: false } })
      return SOLUTION
    }
    const events = await eventsOf({ model: 'circadian/greedy' })
    expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index))
    expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'reasoning_text.delta',
      'reasoning_text.done',
      'content_part.done',
      'output_item.done',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ])
    const { response } = events.at(-1)
    expect(response).toMatchObject({ status: 'completed', circadian: { answer: '1' } })
    expect(response.output.map(({ content: [part] }: { content: { text: string }[] }) => part?.text)).toEqual(
      ['so', SOLUTION.text],
    )
    expect(events.map(({ output_index = '' }) => output_index).join('')).toBe('0000001111111')
  })

  test('that is cut ends as incomplete, also without a text', async () => {
    script = async () => ({ ...SOLUTION, text: '', finish: null })
    const events = await eventsOf({})
    expect(events.at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: { output: [{ type: 'message', content: [{ text: '' }] }] },
    })
  })

  test('ends with an error that leaks nothing', async () => {
    script = async (_, { onEvent }) => {
      onEvent?.({ event: 'tokens', data: { text: 'left', thought: false } })
      throw new ServiceError('ENGINE_CRASHED', 'at /home/secret')
    }
    const last = (await eventsOf({ model: 'circadian/greedy' })).at(-1)
    expect(last).toMatchObject({ type: 'error', code: 'engine_crashed' })
    expect(JSON.stringify(last)).not.toContain('secret')
  })
})
