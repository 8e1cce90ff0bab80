/** @file The cost of one attempt: tokens, milliseconds, and a span for each phase. */

import type { Span, Tracer } from '#tracing'

export interface Clock {
  /** Milliseconds since a fixed point; monotonic. */
  now(): number
}

type Phase = 'queueMs' | 'retrieveMs' | 'draftMs' | 'optimizeMs' | 'rewardMs'

/** Name of a phase's spans, unless the caller gives one. */
const SPAN_NAMES = {
  queueMs: 'queue',
  retrieveMs: 'retrieve',
  draftMs: 'draft',
  optimizeMs: 'search',
  rewardMs: 'reward',
} as const satisfies Record<Phase, string>

export interface Meter {
  /** Tokens decoded for drafts, regenerations and samples. */
  generatedTokens: number
  /** Recurrences of the generated tokens; null while there are none, as of an ordinary decoder. */
  recurrences: number | null
  /** Tokens fed to the judge, or written by it. */
  rewardTokens: number
  /** Tokens of the prompt that were not fed, because an earlier request had begun alike. */
  cachedTokens: number
  readonly timings: Readonly<Record<Phase, number>>
  /**
   * Runs `work` in a span and adds the time that it takes to a phase, whether it succeeds or fails. Judging inside
   * `optimizeMs` counts as `rewardMs` only.
   */
  time<T>(phase: Phase, work: (span: Span) => Promise<T>, spanName?: string): Promise<T>
}

export function createMeter(clock: Clock, tracer: Tracer): Meter {
  const timings = { queueMs: 0, retrieveMs: 0, draftMs: 0, optimizeMs: 0, rewardMs: 0 }
  return {
    generatedTokens: 0,
    recurrences: null,
    rewardTokens: 0,
    cachedTokens: 0,
    timings,
    async time(phase, work, spanName = SPAN_NAMES[phase]) {
      const started = clock.now()
      const judged = timings.rewardMs
      try {
        return await tracer.trace(spanName, {}, work)
      } finally {
        timings[phase] += clock.now() - started
        if (phase === 'optimizeMs') timings.optimizeMs -= timings.rewardMs - judged
      }
    },
  }
}
