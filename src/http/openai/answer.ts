/** @file Runs the request of an operation under `/v1`, as JSON or as a stream of events. */

import { randomUUID } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Solution, SolveRequest, Solver } from '#solving'
import { expectScope } from '../authenticate.ts'
import type { ProblemLog } from '../error-replies.ts'
import type { Limits } from '../limits.ts'
import { createEventStream, type EventStream } from '../server-sent-events.ts'
import { solveOnce, solveOptions } from '../solve-once.ts'
import { type Ask, toSolveRequest } from './ask.ts'
import { toOpenAiError } from './errors.ts'
import { createProgress, type ProgressSink } from './progress.ts'

export interface OpenAiDeps {
  readonly solver: Solver
  readonly limits: Limits
  readonly logProblem: ProblemLog
}

/** Writer of the events of one operation. */
export interface StreamWriter extends ProgressSink {
  /** Called once, after the whole answer. */
  finish(solution: Solution): void
  /** Called in place of `finish` when the request fails after the first event. */
  fail(error: ReturnType<typeof toOpenAiError>['error']): void
}

interface Asked {
  readonly question: SolveRequest
  readonly options: Parameters<Solver['solve']>[1]
}

/** @throws ServiceError as `toSolveRequest`, and SCOPE_MISSING for a reference without the scope `feedback` */
export function prepare(ask: Ask, solver: Solver, request: FastifyRequest, reply: FastifyReply): Asked {
  if (ask.circadian?.reference !== undefined) expectScope(request, 'feedback', 'circadian/reference')
  return {
    question: toSolveRequest(ask, solver.modelId, request.tenantId),
    options: solveOptions(reply),
  }
}

/** Solves and returns the solution. */
export async function solveWhole(
  { question, options }: Asked,
  { solver }: OpenAiDeps,
  reply: FastifyReply,
): Promise<Solution> {
  const solution = await solveOnce(reply, solver, question, options)
  if (solution.episodeId !== null) reply.header('x-episode-id', solution.episodeId)
  return solution
}

/** Solves and streams. The status is fixed once the first event or heartbeat is sent. */
export async function solveInStream(
  { question, options }: Asked,
  { solver, limits, logProblem }: OpenAiDeps,
  reply: FastifyReply,
  createWriter: (stream: EventStream) => StreamWriter,
): Promise<FastifyReply> {
  const { heartbeatMs, stallMs, queuedBytes } = limits
  const stream = createEventStream(reply.raw, {
    // What the hooks have set: the id of the request, security, CORS, limits, replays.
    headers: () => reply.getHeaders() as OutgoingHttpHeaders,
    heartbeatMs,
    stallMs,
    queuedBytes,
    onOpen: () => reply.hijack(),
  })
  const writer = createWriter(stream)
  const progress = createProgress(question.strategy === 'greedy', writer)
  try {
    const solution = await solveOnce(reply, solver, question, { ...options, onEvent: progress.onEvent })
    if (!progress.finish(solution))
      throw new Error('stream: expected the text that was sent to begin the answer')
    writer.finish(solution)
  } catch (error) {
    if (!stream.opened) throw error
    logProblem(reply.log, error)
    writer.fail(toOpenAiError(error, reply.request.id, reply.request.url).error)
  } finally {
    stream.close()
  }
  return reply
}

/** Returns a new id with the prefix that clients know. */
export function newId(prefix: string): string {
  return `${prefix}${randomUUID().replaceAll('-', '')}`
}

export function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000)
}
