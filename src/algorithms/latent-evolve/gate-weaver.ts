/** @file Gate of the weaver: decides whether a newly trained one is promoted. */

import { ServiceError } from '#errors'
import { type BootstrapOptions, bootstrapByQuestion } from '../training/bootstrap.ts'
import type { Figure, GateVerdict } from '../training/training-result.ts'

/** Result of replaying one held-out question. */
export interface TrialQuestion {
  readonly question: string
  /** Reward of the returned answer, in [-1, 0]. */
  readonly reward: number
  /** Whether the answer is correct; null when there is no label. */
  readonly correct: boolean | null
  /** True when the answer passed without an optimiser step. */
  readonly firstPass: boolean
  readonly iterations: number
  readonly evaluations: number
  readonly generatedTokens: number
}

/**
 * Same questions in the same order, replayed with the candidate and with the active weaver (the identity
 * when there is none).
 */
interface Trial {
  readonly candidate: readonly TrialQuestion[]
  readonly active: readonly TrialQuestion[]
}

interface WeaverTrial extends Trial {
  /** Same trial with episode memory on, except the episodes of the replayed questions. */
  readonly guard: Trial
  /** Seed of the resampling. */
  readonly seed: number
}

type MeasureOf = (one: TrialQuestion) => number | null

/** Measures of one question; null leaves the question out. */
const MEASURES = {
  reward: ({ reward }) => reward,
  accuracy: ({ correct }) => (correct === null ? null : Number(correct)),
  firstPass: ({ firstPass }) => Number(firstPass),
  /** Cost of the search: optimiser steps and judged answers. */
  work: ({ iterations, evaluations }) => iterations + evaluations,
  generatedTokens: ({ generatedTokens }) => generatedTokens,
} satisfies Record<string, MeasureOf>

type Measure = keyof typeof MEASURES

/** Measures of quality, in the order in which they are compared. */
const QUALITY = ['accuracy', 'reward', 'firstPass'] as const satisfies readonly Measure[]
/** Lower bound on a difference that counts: smaller ones can be significant but have no practical effect. */
const MIN_DIFFERENCE = 0.005
/**
 * Upper bound on the loss of quality that is accepted when the questions are too few to distinguish it from
 * none.
 */
const MAX_LOSS = 0.05

/**
 * Decides on a candidate. It is promoted when
 * - without memory it shows no loss: for accuracy (where labels are known), reward and first-pass share, the
 *   95 % interval of the paired difference to the active weaver reaches above -.005, and the difference
 *   itself is above -.05, so that a series of consolidations on few questions cannot lose much quality
 *   within the noise;
 * - without memory it shows a gain: one of these rises measurably (its interval lies above .005), or the
 *   work falls by as much;
 * - as a guard, with memory on it shows no loss either.
 *
 * Differences are taken per question, and intervals come from resampled questions (paired bootstrap). A
 * candidate without a gain is rejected, because every swap is a risk.
 *
 * @throws ServiceError INTERNAL when the lists do not hold the same questions.
 */
export function gateWeaver({ candidate, active, guard, seed }: WeaverTrial): GateVerdict {
  const own = compare({ candidate, active }, seed)
  const guarded = compare(guard, seed)
  const compared = {
    metrics: { ...own.metrics, ...prefixed('guard', guarded.metrics) },
    baseline: { ...own.baseline, ...prefixed('guard', guarded.baseline) },
  }
  const verdict = (promoted: boolean, reason: string): GateVerdict => ({ promoted, reason, ...compared })
  if (candidate.length === 0 || guard.candidate.length === 0) {
    return verdict(false, 'no held-out questions to judge by')
  }

  const lost = lossOf(own)
  if (lost !== null) return verdict(false, `without memory, ${lost}`)
  const lostWithMemory = lossOf(guarded)
  if (lostWithMemory !== null) return verdict(false, `with memory on, ${lostWithMemory}`)
  const gained = gainOf(own)
  return gained === null
    ? verdict(false, 'no measurable improvement over the active weaver')
    : verdict(true, `${gained}; nothing lost, with memory on or off`)
}

interface Comparison {
  readonly metrics: Readonly<Record<string, Figure>>
  readonly baseline: Readonly<Record<string, Figure>>
  /** Candidate minus active version, for the measures that at least one question has. */
  readonly differences: ReadonlyMap<Measure, Figure>
}

function compare({ candidate, active }: Trial, seed: number): Comparison {
  const odd = candidate.find(({ question }, place) => question !== active[place]?.question)
  if (odd !== undefined || candidate.length !== active.length) {
    const got = odd === undefined ? `${candidate.length} and ${active.length}` : 'different ones'
    throw new ServiceError('INTERNAL', `gate: expected both to answer the same questions, got ${got}`)
  }
  const metrics: Record<string, Figure> = {}
  const baseline: Record<string, Figure> = {}
  const differences = new Map<Measure, Figure>()
  for (const [name, measure] of Object.entries(MEASURES) as [Measure, MeasureOf][]) {
    const pairs = candidate.flatMap((one, place) => {
      const [mine, theirs] = [measure(one), measure(active[place]!)]
      return mine === null || theirs === null ? [] : [{ question: one.question, mine, theirs }]
    })
    if (pairs.length === 0) continue
    const figure = (value: (pair: (typeof pairs)[number]) => number) => meanFigure(pairs, value, { seed })
    metrics[name] = figure(({ mine }) => mine)
    baseline[name] = figure(({ theirs }) => theirs)
    const difference = figure(({ mine, theirs }) => mine - theirs)
    metrics[`${name}.difference`] = difference
    differences.set(name, difference)
  }
  return { metrics, baseline, differences }
}

function meanFigure<Pair extends { readonly question: string }>(
  pairs: readonly Pair[],
  measured: (pair: Pair) => number,
  options: BootstrapOptions,
): Figure {
  const values = pairs.map(measured)
  const mean = (times: Float64Array) => {
    let sum = 0
    let count = 0
    for (const [index, value] of values.entries()) {
      sum += times[index]! * value
      count += times[index]!
    }
    return sum / count
  }
  return bootstrapByQuestion(
    pairs.map(({ question }) => question),
    mean,
    options,
  )
}

function lossOf({ differences }: Comparison): string | null {
  for (const name of QUALITY) {
    const difference = differences.get(name)
    if (difference === undefined) continue
    if (difference.high !== undefined && difference.high < -MIN_DIFFERENCE) {
      return `${name} ${show(difference)} is a loss`
    }
    if (difference.value <= -MAX_LOSS) return `${name} ${show(difference)}: may lose more than ${MAX_LOSS}`
  }
  return null
}

function gainOf({ differences }: Comparison): string | null {
  for (const name of QUALITY) {
    const difference = differences.get(name)
    if (difference?.low !== undefined && difference.low > MIN_DIFFERENCE)
      return `${name} rises: ${show(difference)}`
  }
  const work = differences.get('work')
  return work?.high !== undefined && work.high < -MIN_DIFFERENCE
    ? `steps and evaluations fall: ${show(work)}`
    : null
}

function prefixed(prefix: string, figures: Readonly<Record<string, Figure>>) {
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [`${prefix}.${name}`, figure]))
}

function show({ value, low, high, n }: Figure): string {
  const interval =
    low === undefined || high === undefined ? 'no interval' : `${low.toFixed(3)} to ${high.toFixed(3)}`
  return `${value >= 0 ? '+' : ''}${value.toFixed(3)} (${interval}, n = ${n})`
}
