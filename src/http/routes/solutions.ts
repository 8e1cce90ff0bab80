/** @file `/solutions`: watches and cancels questions that are answered in the background. */

import { Type } from 'typebox'
import { json, problems, UNWANTED_BODY } from '../responses.ts'
import { BackgroundSolution, SolutionParams } from '../schemas/solutions.ts'
import type { App } from '../type-provider.ts'

const config = { produces: ['application/json'], scope: 'solve' } as const

/** State of a question that is answered in the background. */
export interface BackgroundRecord {
  readonly id: string
  readonly status: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled'
  readonly createdAt: string
  readonly startedAt: string | null
  readonly finishedAt: string | null
  /** Solution, or problem of a failure; null before. */
  readonly result: unknown
}

export interface BackgroundSolutions {
  /** Adds a question and its job. One whose id exists stays as it is. */
  add(solution: {
    readonly tenantId: string
    readonly id: string
    readonly request: unknown
    /** Address that gets the outcome; null: none. */
    readonly webhook: string | null
    readonly requestId: string
    readonly traceparent: string | undefined
  }): Promise<void>
  /** @throws ServiceError SOLUTION_NOT_FOUND */
  get(tenantId: string, id: string): Promise<BackgroundRecord>
  /** Cancels a question; one that has ended stays as it is. @throws ServiceError SOLUTION_NOT_FOUND */
  cancel(tenantId: string, id: string): Promise<BackgroundRecord>
}

export function solutionRoutes(app: App, solutions: Pick<BackgroundSolutions, 'get' | 'cancel'>): void {
  app.get(
    '/solutions/:id',
    {
      config,
      schema: {
        operationId: 'getSolution',
        summary: 'Watch a question that is answered in the background',
        description: 'Questions of `Prefer: respond-async` and their answers are kept for 24 hours.',
        tags: ['solve'],
        params: SolutionParams,
        response: { 200: json('Its state, and its answer.', BackgroundSolution), ...problems(404, 406) },
      },
    },
    async ({ params, tenantId }) => toView(await solutions.get(tenantId, params.id)),
  )

  app.delete(
    '/solutions/:id',
    {
      config,
      schema: {
        operationId: 'cancelSolution',
        summary: 'Cancel a question that is answered in the background',
        description: 'A question that has ended stays as it is.',
        tags: ['solve'],
        params: SolutionParams,
        response: {
          200: json('Its state after the call.', BackgroundSolution),
          ...problems(...UNWANTED_BODY, 404, 406),
        },
      },
    },
    async ({ params, tenantId }) => toView(await solutions.cancel(tenantId, params.id)),
  )
}

/** Headers of the response to a question that is answered in the background. */
export const ACCEPTED = {
  location: Type.String({ description: 'Path of the solution: 202 only.' }),
  'preference-applied': Type.String({ description: '`respond-async`' }),
}

/** Returns what callers read of a record. */
export function toView({ result, ...record }: BackgroundRecord) {
  const part = { succeeded: 'solution', failed: 'problem' }[record.status as string]
  return part === undefined ? record : { ...record, [part]: result }
}

/** True if the caller asks for an answer in the background (RFC 7240, section 4.1). */
export function prefersAsync(prefer: string | readonly string[] | undefined): boolean {
  return /(?:^|,)[ \t]*respond-async[ \t]*(?:[;,]|$)/i.test([prefer ?? ''].flat().join(','))
}
