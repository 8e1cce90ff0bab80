/** @file What any training here takes, and what comes of it. */

/** A figure with its 95 % interval, over `n` answers or episodes. */
export interface Figure {
  readonly value: number
  readonly n: number
  readonly low?: number
  readonly high?: number
}

export interface TrainingRun {
  readonly seed: number
  readonly signal: AbortSignal
  /** Share that is done, in [0, 1]. */
  readonly onProgress?: (share: number) => void
}

export type Training<Trained> =
  | { readonly trained: Trained }
  /** Why there was nothing to learn from, in words. */
  | { readonly skipped: string }

/** A gate's word on a candidate. */
export interface GateVerdict {
  readonly promoted: boolean
  /** The comparison that decided, in words. */
  readonly reason: string
  /** The candidate's, and differences to the active one where there is one. */
  readonly metrics: Readonly<Record<string, Figure>>
  /** The same of the active one. */
  readonly baseline: Readonly<Record<string, Figure>>
}
