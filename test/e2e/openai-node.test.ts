/** @file OpenAI's own client for Node, unchanged, against the embedded service. */

import OpenAI, { APIError, BadRequestError, NotFoundError } from 'openai'
import { afterAll, beforeAll, expect, suite, test } from 'vitest'
import type { EpisodeDetail } from '#episodes'
import type { Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { type ServiceProcess, startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const problems = makeProblems({ split: 'heldout', count: 8, seed: 17 })
const user = (content: string) => ({ role: 'user' as const, content })
const QUESTION = problems[0]!.question

/** Our fields, of which the client's types know nothing. */
const oursOf = (completion: object) => (completion as { circadian: Solution }).circadian
/** Parameters of ours, as JavaScript callers send them. */
const withOurs = <T extends object>(parameters: T, ours: object) => ({ ...parameters, ...ours }) as T

let folder: Awaited<ReturnType<typeof dataFolder>>
let service: ServiceProcess
let client: OpenAI

beforeAll(async () => {
  folder = await dataFolder()
  service = await startService({ DATA_DIR: folder.path })
  client = new OpenAI({ baseURL: `${service.origin}/v1`, apiKey: 'unused', maxRetries: 0 })
})
afterAll(async () => {
  await service[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

const complete = (change: object = {}) =>
  client.chat.completions.create(
    withOurs({ model: 'circadian/greedy', messages: [user(QUESTION)], stream: false as const }, change),
  )

test('lists the models, and finds one by its name', async () => {
  const names = (await client.models.list()).data.map(({ id }) => id)
  expect(names).toEqual(expect.arrayContaining(['order-of-operations', 'circadian/auto', 'circadian/lto']))
  expect(await client.models.retrieve('circadian/auto')).toMatchObject({ id: 'circadian/auto' })
})

suite('a chat completion', () => {
  test('is the solution of POST /solve', async () => {
    const { body: solution } = await service.ask<Solution>('/solve', {
      body: { question: QUESTION, strategy: 'greedy', learn: false },
    })
    const completion = await complete({ circadian: { learn: false } })
    const { message, finish_reason } = completion.choices[0]!
    expect(message.content).toBe(solution.text)
    expect(finish_reason).toBe('stop')
    expect(oursOf(completion)).toMatchObject({ answer: solution.answer, episodeId: null, stopped: 'single' })
    expect(completion.usage).toMatchObject({
      prompt_tokens: solution.usage.promptTokens,
      completion_tokens: solution.usage.completionTokens,
      total_tokens: solution.usage.promptTokens + solution.usage.completionTokens,
      completion_tokens_details: { reasoning_tokens: solution.usage.rewardTokens },
      // The first request has left its prompt.
      prompt_tokens_details: { cached_tokens: solution.usage.promptTokens },
    })
  })

  test.each(['auto', 'latentseek', 'majority', 'lto'])('is searched for by %s, with a seed', async (name) => {
    const ask = () => complete({ model: `circadian/${name}`, seed: 5, circadian: { learn: false } })
    const [first, second] = [await ask(), await ask()]
    expect(first.choices[0]!.message.content).toBe(second.choices[0]!.message.content)
    expect(oursOf(first)).toMatchObject({ strategy: name, seed: 5 })
  })

  test('ends at a stop sequence, and at a number of tokens', async () => {
    const whole = (await complete()).choices[0]!.message.content!
    const stopped = await complete({ stop: [';'] })
    expect(stopped.choices[0]).toMatchObject({
      message: { content: whole.slice(0, whole.indexOf(';')) },
      finish_reason: 'stop',
    })
    const cut = await complete({ max_completion_tokens: 5 })
    expect(cut.choices[0]!.finish_reason).toBe('length')
    expect(cut.usage!.completion_tokens).toBe(5)
    expect(whole.startsWith(cut.choices[0]!.message.content!)).toBe(true)
  })

  test('continues a conversation, which is remembered whole', async () => {
    const conversation = [user('1 + 2 * 3 = ?'), { role: 'assistant', content: '7' }, user(QUESTION)]
    const alone = await complete()
    const completion = await complete({ messages: conversation })
    expect(completion.usage!.prompt_tokens).toBeGreaterThan(alone.usage!.prompt_tokens)
    const { episodeId } = oursOf(completion)
    const episode = await service.ask<EpisodeDetail>(`/episodes/${episodeId}`)
    expect(episode.body.question).toBe(`user: 1 + 2 * 3 = ?\n\nassistant: 7\n\nuser: ${QUESTION}`)
    expect((await service.ask<EpisodeDetail>(`/episodes/${oursOf(alone).episodeId}`)).body.question).toBe(
      QUESTION,
    )
  })

  test('lands softly when its time or its tokens are up', async () => {
    const late = await complete({ model: 'circadian/latentseek', deadline_ms: 1 })
    expect(oursOf(late).stopped).toBe('maxMs')
    for (const max_reasoning_tokens of [0, 60, 100]) {
      const search = await complete({ model: 'circadian/latentseek', max_reasoning_tokens })
      const { usage, ...ours } = { ...oursOf(search), usage: search.usage! }
      const judged = usage.completion_tokens_details!.reasoning_tokens!
      expect(ours.finish).toBe('end')
      // The judge reads one token for each answer.
      expect(judged).toBeLessThanOrEqual(max_reasoning_tokens + ours.evaluations + 1)
    }
    const none = await complete({ model: 'circadian/auto', reasoning_effort: 'none' })
    expect(oursOf(none)).toMatchObject({ strategy: 'greedy', iterations: 0 })
  })
})

suite('a stream', () => {
  const begin = (change: object = {}) =>
    client.chat.completions.create(
      withOurs(
        {
          model: 'circadian/greedy',
          messages: [user(QUESTION)],
          stream: true as const,
          stream_options: { include_usage: true },
        },
        change,
      ),
    )

  test('of the draft adds up to the answer, and its last chunk has the usage', async () => {
    const whole = await complete()
    const chunks = []
    for await (const chunk of await begin()) chunks.push(chunk)
    expect(chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join('')).toBe(
      whole.choices[0]!.message.content,
    )
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { completion_tokens: whole.usage!.completion_tokens },
    })
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop')
    expect(oursOf(chunks.at(-2)!)).toMatchObject({ strategy: 'greedy' })
  })

  test('of a search tells what it does before it answers', async () => {
    let reasoning = ''
    let content = ''
    for await (const { choices } of await begin({ model: 'circadian/latentseek' })) {
      const delta = (choices[0]?.delta ?? {}) as {
        reasoning?: string
        reasoning_content?: string
        content?: string
      }
      expect(delta.reasoning).toBe(delta.reasoning_content)
      if (delta.reasoning) expect(content).toBe('')
      reasoning += delta.reasoning ?? ''
      content += delta.content ?? ''
    }
    expect(reasoning).toContain('[draft] answer')
    expect(content).toContain('ans')
  })

  test('is helped by the client’s own reader', async () => {
    const reader = client.chat.completions.stream({ model: 'circadian/greedy', messages: [user(QUESTION)] })
    expect(await reader.finalContent()).toContain('ans')
  })

  test('that the caller leaves is cancelled: the next one is served', async () => {
    const stream = await begin({
      model: 'circadian/latentseek',
      circadian: { budget: { maxIterations: 256 } },
    })
    for await (const _ of stream) break
    expect((await complete()).choices[0]!.finish_reason).toBe('stop')
  })

  test('runs beside others', async () => {
    const texts = await Promise.all(
      problems.map(async ({ question }) => {
        let text = ''
        for await (const { choices } of await begin({ messages: [user(question)] })) {
          text += choices[0]?.delta.content ?? ''
        }
        return text
      }),
    )
    expect(texts.every((text) => text.includes('ans'))).toBe(true)
  })
})

suite('errors are those of the client', () => {
  test('for an unknown model', async () => {
    const error: unknown = await complete({ model: 'gpt-4o' }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(NotFoundError)
    expect(error).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
    expect((error as APIError).message).toContain('circadian/auto')
  })

  test.each([
    [{ n: 2 }, 'n'],
    [{ messages: [] }, 'messages'],
    [{ tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
    [{ response_format: { type: 'json_object' } }, 'response_format.type'],
  ])('for %j', async (change, param) => {
    const error: unknown = await complete(change).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(BadRequestError)
    expect(error).toMatchObject({ code: 'request_invalid', type: 'invalid_request_error', param })
  })

  test('for a turn that the chat template leaves out', async () => {
    const messages = [{ role: 'tool', tool_call_id: 'x', content: 'found' }, user(QUESTION)]
    await expect(complete({ messages })).rejects.toMatchObject({ status: 400, param: 'messages' })
  })

  test('for a conversation that is too long', async () => {
    const error: unknown = await complete({ messages: [user('1 + '.repeat(2_000))] }).catch(
      (thrown) => thrown,
    )
    expect(error).toBeInstanceOf(APIError)
    expect(error).toMatchObject({ status: 400, code: 'context_length_exceeded', param: 'messages' })
  })

  test('for legacy completions', async () => {
    const asked = client.completions.create({ model: 'circadian/auto', prompt: 'x' })
    await expect(asked).rejects.toMatchObject({ status: 404, code: 'route_not_found' })
  })
})

suite('a response', () => {
  test('has the text of the completion', async () => {
    const whole = (await complete()).choices[0]!.message.content
    const response = await client.responses.create({
      model: 'circadian/greedy',
      input: QUESTION,
      store: false,
    })
    expect(response.output_text).toBe(whole)
    expect(response).toMatchObject({ status: 'completed', usage: { output_tokens: expect.any(Number) } })
    expect(oursOf(response).episodeId).toBeNull()
  })

  test('continues with its own output as input', async () => {
    const first = await client.responses.create({ model: 'circadian/greedy', input: QUESTION })
    const second = await client.responses.create({
      model: 'circadian/greedy',
      input: [user(QUESTION), ...first.output, user(QUESTION)] as OpenAI.Responses.ResponseInput,
    })
    expect(second.status).toBe('completed')
    expect(second.usage!.input_tokens).toBeGreaterThan(first.usage!.input_tokens)
  })

  test.each(['greedy', 'latentseek'])('of %s is read by the client’s own stream', async (name) => {
    const stream = client.responses.stream({ model: `circadian/${name}`, input: QUESTION })
    let text = ''
    stream.on('response.output_text.delta', ({ delta }) => {
      text += delta
    })
    const response = await stream.finalResponse()
    expect(response.output_text).toBe(text)
    expect(text).toContain('ans')
  })

  test('of an earlier response is refused by name', async () => {
    const asked = client.responses.create({
      model: 'circadian/auto',
      input: QUESTION,
      previous_response_id: 'resp_1',
    })
    await expect(asked).rejects.toMatchObject({ status: 400, param: 'previous_response_id' })
  })
})
