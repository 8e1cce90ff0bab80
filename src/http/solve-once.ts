/** @file Solves a question for a route: once for an idempotency key, counted against the limits of the API key. */

import type { FastifyReply } from 'fastify'
import type { CancelledUsage, Solution, SolveOptions, SolveRequest, Solver } from '#solving'
import { callerKey } from './caller-address.ts'
import { disconnectSignal } from './disconnect-signal.ts'
import { logSolution } from './request-log.ts'

/** Options of the solve of a request: it ends when its caller disconnects. */
export function solveOptions({ raw, request }: FastifyReply) {
  const { keyId, tenantId, log, id } = request
  return {
    signal: disconnectSignal(raw),
    // Callers of a tenant share its part of the engine, wherever they are.
    caller: keyId === null ? callerKey(request) : `tenant ${tenantId}`,
    logger: log,
    requestId: id,
  }
}

/** Solves, logs the solution and counts its tokens against the limit of the key; once for an idempotency key. */
export function solveOnce(
  reply: FastifyReply,
  solver: Solver,
  question: SolveRequest,
  options: SolveOptions,
): Promise<Solution> {
  const { request } = reply
  return reply.once(options.signal, async (id) => {
    const solution = await solver.solve(question, {
      ...options,
      ...(id !== null && { id }),
      ...(request.limits.tokens !== null && {
        onCancelled: (usage) => void request.spendTokens(tokensOf({ usage })),
      }),
    })
    logSolution(request.log, solution)
    await request.spendTokens(tokensOf(solution))
    return solution
  })
}

/** Tokens that count against the limit of a key: those read, generated and judged. */
export function tokensOf({ usage }: { readonly usage: CancelledUsage }): number {
  return usage.promptTokens + usage.generatedTokens + usage.rewardTokens
}
