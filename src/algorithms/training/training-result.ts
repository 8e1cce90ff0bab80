/**
 * @file Options and results that the trainings of both models share: figures, skipped trainings, verdicts of
 * a gate.
 */

/**
 * Measured value and its 95 % interval `low` to `high`, over `n` answers or episodes; no bounds: no
 * interval.
 */
export interface Figure {
  readonly value: number
  readonly n: number
  readonly low?: number
  readonly high?: number
}

/** Seed, stop signal and progress callback of one training. */
export interface TrainingRun {
  readonly seed: number
  readonly signal: AbortSignal
  /** Called with the share of the work that is done, in [0, 1]. */
  readonly onProgress?: (share: number) => void
}

/** Trained model; or, in words, why there was too little material to train on. */
export type Training<Trained> = { readonly trained: Trained } | { readonly skipped: string }

/** Decision of a gate on a candidate. */
export interface GateVerdict {
  readonly promoted: boolean
  /** Comparison that decided, in words. */
  readonly reason: string
  /** Figures of the candidate, and its differences to the active version where there is one. */
  readonly metrics: Readonly<Record<string, Figure>>
  /** Figures of the active version, or of the identity weaver; empty for the first reward model. */
  readonly baseline: Readonly<Record<string, Figure>>
}
