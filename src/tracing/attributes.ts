/**
 * @file The names of all attributes of spans: those of the OpenTelemetry conventions (`gen_ai.*`, `http.*`,
 * `error.type`) and those of Circadian (`circadian.*`). No attribute holds a prompt, an answer or an address.
 */

import type { Attributes } from './tracer.ts'

/** Attributes of a request to the model, known when a solve begins. */
export function generationAttributes(model: string): Attributes {
  return {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'circadian',
    'gen_ai.request.model': model,
  }
}

/** Tokens of a prompt and of all text that the model generated for it. */
export function usageAttributes(usage: { readonly input?: number; readonly output: number }): Attributes {
  return { 'gen_ai.usage.input_tokens': usage.input, 'gen_ai.usage.output_tokens': usage.output }
}

/** Outcome of a solve. */
export function solveAttributes(solve: {
  readonly strategy: string
  readonly stopped?: string
  readonly iterations?: number
  readonly evaluations?: number
  readonly rewardTokens?: number
  readonly episodeId?: string | null
  readonly degraded?: readonly string[]
}): Attributes {
  return {
    'circadian.strategy': solve.strategy,
    'circadian.stopped': solve.stopped,
    'circadian.iterations': solve.iterations,
    'circadian.evaluations': solve.evaluations,
    'circadian.reward_tokens': solve.rewardTokens,
    'circadian.episode.id': solve.episodeId ?? undefined,
    'circadian.degraded': solve.degraded,
  }
}

/** Number of answers that a span decodes or judges together. */
export function rowsAttribute(rows: number): Attributes {
  return { 'circadian.rows': rows }
}

/** Number of episodes that retrieval returned. */
export function retrievedAttribute(episodes: number): Attributes {
  return { 'circadian.retrieved': episodes }
}

/** Number of updates of the latents in one run of the head. */
export function updatesAttribute(updates: number): Attributes {
  return { 'circadian.updates': updates }
}

export function requestAttributes(request: {
  readonly method: string
  /** Pattern of the route. */
  readonly route: string
  readonly id: string
}): Attributes {
  return {
    'http.request.method': request.method,
    'http.route': request.route,
    'circadian.request.id': request.id,
  }
}

/** Status of the response; 499 if the caller disconnected before it was complete. */
export function responseAttributes(status: number): Attributes {
  return { 'http.response.status_code': status }
}

export function jobAttributes(job: {
  readonly name: string
  readonly id: string | undefined
  /** Number of this attempt, from 1. */
  readonly attempt: number
}): Attributes {
  return {
    'circadian.job.name': job.name,
    'circadian.job.id': job.id,
    'circadian.job.attempt': job.attempt,
  }
}

export function consolidationAttributes(consolidation: {
  readonly id: string
  readonly trigger: string
  readonly attempts: number
}): Attributes {
  return {
    'circadian.consolidation.id': consolidation.id,
    'circadian.consolidation.trigger': consolidation.trigger,
    'circadian.consolidation.attempt': consolidation.attempts,
  }
}

export function errorAttributes(type: string): Attributes {
  return { 'error.type': type }
}

/** Returns the code of an error, or else its class: never its message, which may hold a caller's text. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return 'Error'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
