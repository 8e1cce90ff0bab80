/** @file Log fields of a request and of its solution. Neither contains questions or answers. */

import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Solution } from '#solving'
import { shorten } from './shorten.ts'

/** Serializer of `req`. Callers choose URL and host, which may have 16 KiB: both are cut. */
export function describeRequest({ method, url, host, ip, socket }: FastifyRequest): object {
  return {
    method,
    url: shorten(url),
    host: shorten(host ?? ''),
    remoteAddress: ip,
    remotePort: socket?.remotePort,
  }
}

/** Logs one line for a solved request. */
export function logSolution(log: FastifyBaseLogger, solution: Solution): void {
  const { strategy, usage, iterations, episodeId, stopped, degraded, timings } = solution
  log.info(
    {
      strategy,
      generatedTokens: usage.generatedTokens,
      rewardTokens: usage.rewardTokens,
      iterations,
      episodeId,
      stopped,
      degraded,
      ms: timings.totalMs,
    },
    'solved',
  )
}
