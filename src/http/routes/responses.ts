/** @file `POST /v1/responses`: answers a conversation and stores nothing of it for a later one, for clients of OpenAI's API. */

import { type OpenAiDeps, prepare, solveInStream, solveWhole } from '../openai/answer.ts'
import {
  beginResponse,
  createResponseWriter,
  endResponse,
  itemsOf,
  readResponse,
} from '../openai/response.ts'
import { json, openAiErrors } from '../responses.ts'
import { ref } from '../schemas/ref.ts'
import { Response, ResponseEvent, ResponseRequest } from '../schemas/responses-api.ts'
import type { App } from '../type-provider.ts'

const DESCRIPTION = [
  'Compatible with OpenAI’s clients, and stateless. Every parameter is supported as described or refused with a 400 that names it.',
  'With `stream: true`, the draft of `greedy` is sent as it is decoded. The other strategies send their draft and their search as an item `reasoning`, and the answer once it is chosen. Disconnecting cancels the request.',
].join(' ')

const answered = json('The answer.', Response)

const schema = {
  operationId: 'createResponse',
  summary: 'Answer a conversation as a response',
  description: DESCRIPTION,
  tags: ['openai'],
  body: ref(ResponseRequest),
  response: {
    200: {
      ...answered,
      content: { ...answered.content, 'text/event-stream': { schema: ref(ResponseEvent) } },
    },
    ...openAiErrors(403, 404, 413, 415, 422),
  },
}

const config = { scope: 'solve', metered: true, idempotent: true } as const

export function responsesRoute(app: App, deps: OpenAiDeps): void {
  app.post('/v1/responses', { config, schema }, async (request, reply) => {
    const { body } = request
    const asked = prepare(readResponse(body), deps.solver, request, reply)
    const { strategy } = asked.question
    if (body.stream === true) {
      return solveInStream(asked, deps, reply, (stream) =>
        createResponseWriter(body, strategy, (event, data) => stream.send(event, data)),
      )
    }
    const solution = await solveWhole(asked, deps, reply)
    const response = endResponse(beginResponse(body, strategy), solution, itemsOf(solution))
    return reply.type('application/json').send(response)
  })
}
