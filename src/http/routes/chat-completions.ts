/** @file `POST /v1/chat/completions`: answers a conversation, for clients of OpenAI's API. */

import { newId, nowInSeconds, type OpenAiDeps, prepare, solveInStream, solveWhole } from '../openai/answer.ts'
import { type CompletionHead, readChat, toChunk, toCompletion, toLastChunks } from '../openai/chat.ts'
import { json, openAiErrors } from '../responses.ts'
import { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest } from '../schemas/chat-completions.ts'
import { ref } from '../schemas/ref.ts'
import type { EventStream } from '../server-sent-events.ts'
import type { App } from '../type-provider.ts'

const DESCRIPTION = [
  'Compatible with OpenAI’s clients. Every parameter is supported as described or refused with a 400 that names it.',
  'With `stream: true`, the draft of `greedy` is sent as it is decoded. The other strategies send their draft and their search as `reasoning` and `reasoning_content`, and the answer once it is chosen. Disconnecting cancels the request.',
].join(' ')

const completed = json('The answer.', ChatCompletion)

const schema = {
  operationId: 'createChatCompletion',
  summary: 'Answer a conversation',
  description: DESCRIPTION,
  tags: ['openai'],
  body: ref(ChatCompletionRequest),
  response: {
    200: {
      ...completed,
      content: { ...completed.content, 'text/event-stream': { schema: ref(ChatCompletionChunk) } },
    },
    ...openAiErrors(403, 404, 413, 415, 422),
  },
}

const config = { scope: 'solve', metered: true, idempotent: true } as const

export function chatCompletionsRoute(app: App, deps: OpenAiDeps): void {
  app.post('/v1/chat/completions', { config, schema }, async (request, reply) => {
    const { body } = request
    const asked = prepare(readChat(body), deps.solver, request, reply)
    const head = { id: newId('chatcmpl-'), created: nowInSeconds(), model: body.model }
    if (body.stream === true) {
      const withUsage = body.stream_options?.include_usage === true
      return solveInStream(asked, deps, reply, (stream) => createWriter(stream, head, withUsage))
    }
    const solution = await solveWhole(asked, deps, reply)
    return reply.type('application/json').send(toCompletion(head, solution))
  })
}

function createWriter(stream: EventStream, head: CompletionHead, withUsage: boolean) {
  const send = (data: object) => stream.send(null, JSON.stringify(data))
  let isBegun = false
  const delta = (change: Parameters<typeof toChunk>[1]) => {
    const first = isBegun ? {} : ({ role: 'assistant' } as const)
    isBegun = true
    send(toChunk(head, { ...first, ...change }, withUsage))
  }
  return {
    reasoning: (text: string) => delta({ reasoning: text, reasoning_content: text }),
    answer: (text: string) => delta({ content: text }),
    finish(solution: Parameters<typeof toLastChunks>[1]) {
      if (!isBegun) delta({ content: '' })
      for (const chunk of toLastChunks(head, solution, withUsage)) send(chunk)
      stream.send(null, '[DONE]')
    },
    fail: (error: object) => send({ error }),
  }
}
