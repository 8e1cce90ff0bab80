/** @file Sizes of all measurements of the bench of days and nights. */

/** Seeds of the published figures; none was used to choose a default. */
export const PUBLISHED_SEEDS = [20261121, 20261122, 20261123]

export interface Sizes {
  /** Held-out problems, the same ones every day. */
  readonly heldOut: number
  readonly days: number
  readonly perDay: number
  /** Problems on which every arm is timed, each day. */
  readonly paced: number
  /** Problems of unseen families. */
  readonly far: number
  /** Held-out problems of each half of the families. */
  readonly perHalf: number
  /** Days of honest episodes before a poisoned memory is compared with a clean one. */
  readonly poisonedDays: number
  /** Share of all episodes that are adversarial. */
  readonly poison: number
  readonly curves: CurveSizes
}

export interface CurveSizes {
  /** Retrievals timed one at a time. */
  readonly retrievals: number
  /** Problems stored where a curve needs a memory. */
  readonly remembered: number
  /** Held-out problems at every point. */
  readonly heldOut: number
  /** Problems of the stream that is learned from as it comes. */
  readonly stream: number
  /** Problems per bin of the stream. */
  readonly bin: number
  readonly memory: readonly number[]
  readonly topK: readonly number[]
  readonly latents: readonly number[]
  readonly minSimilarity: readonly number[]
  readonly marginSteps: readonly number[]
  /** Numbers of problems between two nights. */
  readonly intervals: readonly number[]
  /** Total problems at each interval. */
  readonly nightly: number
}

export const FULL: Sizes = {
  heldOut: 500,
  days: 3,
  perDay: 300,
  paced: 40,
  far: 300,
  perHalf: 200,
  poisonedDays: 2,
  poison: 0.05,
  curves: {
    retrievals: 50,
    remembered: 300,
    heldOut: 200,
    stream: 300,
    bin: 25,
    memory: [0, 25, 50, 100, 200, 400, 800],
    topK: [0, 1, 2, 3, 4, 8, 16],
    latents: [2, 3, 4, 6, 8],
    minSimilarity: [-1, 0.5, 0.8, 0.9, 0.95, 0.98],
    marginSteps: [0, 3],
    intervals: [50, 100, 200, 400],
    nightly: 400,
  },
}

/** Sizes of `--quick`: enough to see that the bench runs. */
export const QUICK: Sizes = {
  heldOut: 16,
  days: 1,
  perDay: 60,
  paced: 2,
  far: 16,
  perHalf: 8,
  poisonedDays: 1,
  poison: 0.05,
  curves: {
    retrievals: 4,
    remembered: 60,
    heldOut: 12,
    stream: 50,
    bin: 25,
    memory: [0, 25],
    topK: [0, 3],
    latents: [2, 4],
    minSimilarity: [0.5, 0.95],
    marginSteps: [0, 3],
    intervals: [60],
    nightly: 60,
  },
}
