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

/**
 * Part of a split: examples to train on, to stop and calibrate by, to decide on the result by, and to report
 * figures on that decide nothing.
 */
export type Part = 'train' | 'calibration' | 'heldOut' | 'locked'

/** Lower bounds on the clusters of questions with usable examples in the parts that training reads. */
const MIN_CLUSTERS = { train: 20, calibration: 8 } as const

/**
 * Returns, in words, why the examples are too few to train on; null when both parts have enough clusters.
 */
export function tooFewClusters(
  examples: readonly { readonly part: Part; readonly cluster: string }[],
): string | null {
  for (const [part, min] of Object.entries(MIN_CLUSTERS)) {
    const own = examples.filter((example) => example.part === part)
    const got = new Set(own.map(({ cluster }) => cluster)).size
    if (got < min) return `too few questions in the part ${part}: expected ${min}, got ${got}`
  }
  return null
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
  /** Whether its quality is measurably above that of the anchor, which it then replaces when it is promoted. */
  readonly isAnchor: boolean
  /** Comparison that decided, in words. */
  readonly reason: string
  /** Figures of the candidate, and its differences to the active version where there is one. */
  readonly metrics: Readonly<Record<string, Figure>>
  /** Figures of the active version, or of the identity weaver; empty for the first reward model. */
  readonly baseline: Readonly<Record<string, Figure>>
}

/** Decision of a gate that looks at a growing number of questions. */
export interface SequentialVerdict extends GateVerdict {
  /** `continue`: undecided, and more questions are to come. */
  readonly decision: 'promote' | 'reject' | 'continue'
}
