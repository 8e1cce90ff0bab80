/** @file The cost of one attempt: tokens and milliseconds. */

export interface Clock {
  /** Milliseconds since a fixed point; monotonic. */
  now(): number
}

type Phase = 'queueMs' | 'retrieveMs' | 'draftMs' | 'optimizeMs' | 'rewardMs'

export interface Meter {
  /** Tokens decoded for drafts, regenerations and samples. */
  generatedTokens: number
  /** Tokens fed to the judge, or written by it. */
  rewardTokens: number
  readonly timings: Readonly<Record<Phase, number>>
  /**
   * Adds the time that `work` takes to a phase, whether it succeeds or fails. Judging inside `optimizeMs` counts as
   * `rewardMs` only.
   */
  time<T>(phase: Phase, work: () => Promise<T>): Promise<T>
}

export function createMeter(clock: Clock): Meter {
  const timings = { queueMs: 0, retrieveMs: 0, draftMs: 0, optimizeMs: 0, rewardMs: 0 }
  return {
    generatedTokens: 0,
    rewardTokens: 0,
    timings,
    async time(phase, work) {
      const started = clock.now()
      const judged = timings.rewardMs
      try {
        return await work()
      } finally {
        timings[phase] += clock.now() - started
        if (phase === 'optimizeMs') timings.optimizeMs -= timings.rewardMs - judged
      }
    },
  }
}
