/** @file `POST /solve`: answers one question as JSON or as a stream of events. */

import { randomUUID } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { ServiceError } from '#errors'
import type { KeyLimits } from '#keys'
import type { SolveOptions, SolveRequest, Solver } from '#solving'
import type { Tracer } from '#tracing'
import { expectScope } from '../authenticate.ts'
import type { ProblemLog } from '../error-replies.ts'
import type { Limits } from '../limits.ts'
import { toProblem } from '../problem.ts'
import { json, problems } from '../responses.ts'
import { ref } from '../schemas/ref.ts'
import { Solution, SolveEvent } from '../schemas/solution.ts'
import { BackgroundTicket } from '../schemas/solutions.ts'
import { SOLVE_DEFAULTS, SolveRequest as SolveBody } from '../schemas/solve.ts'
import { createEventStream } from '../server-sent-events.ts'
import { solveOnce, solveOptions } from '../solve-once.ts'
import type { App } from '../type-provider.ts'
import { findUnused } from '../unused-settings.ts'
import { ACCEPTED, type BackgroundSolutions, prefersAsync } from './solutions.ts'

const JSON_TYPE = 'application/json'
const STREAM_TYPE = 'text/event-stream'

const DESCRIPTION = [
  'With `Accept: text/event-stream`, the response is a stream of server-sent events: `retrieval`, `tokens` (text of the draft, or of the first sample, as it is decoded), `draft`, `iteration`, `candidate`, and finally `answer` (the body of the JSON response) or `error` (a problem). A comment every ten seconds keeps the connection open.',
  'An error before the first event is answered with a problem and its status. Disconnecting cancels the request.',
  'With `Prefer: respond-async`, the response is 202: the question is answered in the background, `GET` of `Location` has its state and its answer, `DELETE` cancels it.',
  'A request that repeats the `Idempotency-Key` of an answered one gets the same answer, in a stream as its only event.',
].join(' ')

const EPISODE_ID = {
  'x-episode-id': Type.String({ description: 'Id of the stored episode; absent if none was stored.' }),
}

const solved = json('The best answer that was found.', Solution, EPISODE_ID)

const schema = {
  operationId: 'solve',
  summary: 'Solve a problem',
  description: DESCRIPTION,
  tags: ['solve'],
  body: ref(SolveBody),
  response: {
    200: { ...solved, content: { ...solved.content, [STREAM_TYPE]: { schema: ref(SolveEvent) } } },
    202: json('The question is answered in the background.', BackgroundTicket, ACCEPTED),
    ...problems(400, 403, 406, 413, 415, 422),
  },
}

/** What is stored of a question that is answered in the background. */
export interface BackgroundQuestion {
  readonly question: SolveRequest
  readonly caller: string | undefined
  readonly keyId: string | null
  readonly limits: KeyLimits
}

interface SolveRouteDeps {
  readonly solver: Solver
  readonly solutions: Pick<BackgroundSolutions, 'add'>
  readonly tracer: Pick<Tracer, 'traceparent'>
  /** Whether the server can sign webhooks. */
  readonly hasWebhooks: boolean
  readonly limits: Limits
  readonly logProblem: ProblemLog
}

export function solveRoute(app: App, deps: SolveRouteDeps): void {
  app.post(
    '/solve',
    {
      config: { produces: [JSON_TYPE, STREAM_TYPE], scope: 'solve', metered: true, idempotent: true },
      schema,
    },
    async (request, reply) => {
      if (request.body.reference !== undefined) expectScope(request, 'feedback', 'reference')
      const { webhook = null, ...body } = request.body
      const question: SolveRequest = { ...SOLVE_DEFAULTS, ...body, tenantId: request.tenantId }
      const unused = findUnused(body, question.strategy)
      if (unused !== null) refuse(unused.pointer, unused.detail)
      const options = solveOptions(reply)
      const isAsync = prefersAsync(request.headers['prefer'])
      if (webhook !== null) checkWebhook(webhook, isAsync, deps.hasWebhooks)
      if (isAsync) return acceptQuestion(reply, deps, { question, webhook }, options)
      if (request.acceptedType === STREAM_TYPE) return streamSolution(reply, deps, question, options)
      const solution = await solveOnce(reply, deps.solver, question, options)
      if (solution.episodeId !== null) reply.header('x-episode-id', solution.episodeId)
      return reply.type(JSON_TYPE).send(solution)
    },
  )
}

/** Solves and streams the events. The status is fixed once the first event or heartbeat is sent. */
async function streamSolution(
  reply: FastifyReply,
  { solver, limits: { heartbeatMs, stallMs, queuedBytes }, logProblem }: SolveRouteDeps,
  question: SolveRequest,
  options: SolveOptions,
): Promise<FastifyReply> {
  const stream = createEventStream(reply.raw, {
    // What the hooks have set: the id of the request, security, CORS, limits, replays.
    headers: () => reply.getHeaders() as OutgoingHttpHeaders,
    heartbeatMs,
    stallMs,
    queuedBytes,
    onOpen: () => reply.hijack(),
  })
  try {
    const solution = await solveOnce(reply, solver, question, {
      ...options,
      onEvent: ({ event, data }) => stream.send(event, JSON.stringify(data)),
    })
    stream.send('answer', String(reply.serializeInput({ ...solution }, '200', JSON_TYPE)))
  } catch (error) {
    if (!stream.opened) throw error
    logProblem(reply.log, error)
    stream.send('error', JSON.stringify(toProblem(error, reply.request.id)))
  } finally {
    stream.close()
  }
  return reply
}

/**
 * Adds the question to those that are answered in the background.
 *
 * @throws ServiceError REQUEST_INVALID for a question that the solver would refuse
 */
async function acceptQuestion(
  reply: FastifyReply,
  { solver, solutions, tracer }: SolveRouteDeps,
  { question, webhook }: { readonly question: SolveRequest; readonly webhook: string | null },
  { signal, caller, requestId }: SolveOptions,
): Promise<FastifyReply> {
  const { tenantId, keyId, limits, id: ownRequestId } = reply.request
  const { id } = await reply.once(signal, async (given) => {
    solver.check(question)
    const id = given ?? randomUUID()
    const request: BackgroundQuestion = { question, caller, keyId, limits }
    const traceparent = tracer.traceparent()
    await solutions.add({ tenantId, id, request, webhook, requestId: requestId ?? ownRequestId, traceparent })
    return { id }
  })
  return reply
    .code(202)
    .header('location', `/solutions/${id}`)
    .header('preference-applied', 'respond-async')
    .type(JSON_TYPE)
    .send({ id, status: 'queued' })
}

/** @throws ServiceError REQUEST_INVALID for an address that would never be called */
function checkWebhook(webhook: string, isAsync: boolean, hasWebhooks: boolean): void {
  const expect = (expected: string, got: string) => refuse('/webhook', `expected ${expected}, got ${got}`)
  if (!isAsync) expect('none without Prefer: respond-async', 'one')
  if (!hasWebhooks) expect('none, as WEBHOOK_SECRET is not set on this server', 'one')
  if (URL.parse(webhook) === null) expect('a URL', 'another text')
}

function refuse(pointer: string, detail: string): never {
  throw new ServiceError('REQUEST_INVALID', `body${pointer}: ${detail}`, { faults: [{ pointer, detail }] })
}
