/** @file Whether a freshly trained weaver may serve. */

import { ServiceError } from '#errors'
import { type BootstrapOptions, bootstrapByQuestion } from '../training/bootstrap.ts'
import type { Figure, GateVerdict } from '../training/training-result.ts'

/** How one held-out question went. */
export interface TrialQuestion {
  readonly question: string
  /** In [-1, 0]. */
  readonly reward: number
  /** Null when nobody knows. */
  readonly correct: boolean | null
  /** The answer passed without an optimiser step. */
  readonly firstPass: boolean
  readonly iterations: number
  readonly evaluations: number
  readonly generatedTokens: number
}

/** The same questions in the same order, with the candidate and with what serves now (the identity where nothing does). */
interface Trial {
  readonly candidate: readonly TrialQuestion[]
  readonly active: readonly TrialQuestion[]
}

export interface WeaverTrial extends Trial {
  /** The same with memory on, which passes over the questions' own episodes. */
  readonly guard: Trial
  /** Seeds the resampling. */
  readonly seed: number
}

/** What is measured of a question; null leaves it out. */
const MEASURES = {
  reward: ({ reward }) => reward,
  accuracy: ({ correct }) => (correct === null ? null : Number(correct)),
  firstPass: ({ firstPass }) => Number(firstPass),
  /** What the search costs: optimiser steps and judged answers. */
  work: ({ iterations, evaluations }) => iterations + evaluations,
  generatedTokens: ({ generatedTokens }) => generatedTokens,
} satisfies Record<string, (one: TrialQuestion) => number | null>

type Measure = keyof typeof MEASURES

/** In the order in which they are looked at. */
const QUALITY = ['accuracy', 'reward', 'firstPass'] as const satisfies readonly Measure[]
/** Differences smaller than this are sure now and then, and matter to nobody. */
const MIN_DIFFERENCE = 0.005
/** Largest loss of quality that is let through when the questions are too few to tell it from none. */
const MAX_LOSS = 0.05

/**
 * A candidate is promoted when, without memory,
 * - it loses nothing: of accuracy (where labels are known), reward and first-pass share, the 95 % interval of the paired difference
 *   to the active weaver reaches above -.005, and the difference itself is above -.05, so that on few questions a run of nights cannot
 *   slip far downhill within the noise; and
 * - it gains something: one of them rises by more than noise and a trifle (its interval lies above .005), or the work falls so;
 * and when, as a guard, it loses nothing with memory on either. Differences are of the same question, intervals from resampled
 * questions (paired bootstrap). What does not improve is not swapped in: a change is a risk of its own.
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
  /** Candidate minus active; only what could be measured. */
  readonly differences: ReadonlyMap<Measure, Figure>
}

function compare({ candidate, active }: Trial, seed: number): Comparison {
  const odd = candidate.find(({ question }, place) => question !== active[place]?.question)
  if (odd !== undefined || candidate.length !== active.length) {
    const got = odd === undefined ? `${candidate.length} and ${active.length}` : 'other ones'
    throw new ServiceError('INTERNAL', `gate: expected both to answer the same questions, got ${got}`)
  }
  const metrics: Record<string, Figure> = {}
  const baseline: Record<string, Figure> = {}
  const differences = new Map<Measure, Figure>()
  for (const [name, of] of Object.entries(MEASURES) as [Measure, (one: TrialQuestion) => number | null][]) {
    const pairs = candidate.flatMap((one, place) => {
      const [mine, theirs] = [of(one), of(active[place]!)]
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
  value: (pair: Pair) => number,
  options: BootstrapOptions,
): Figure {
  const values = pairs.map(value)
  const mean = (times: Float64Array) => {
    let sum = 0
    let count = 0
    for (const [index, of] of values.entries()) {
      sum += times[index]! * of
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
