/** @file Gate of the weaver: decides whether a newly trained one is promoted. */

import { ServiceError } from '#errors'
import {
  criticalValue,
  type Difference,
  gainCriticalValue,
  isDecisive,
  type Look,
  MIN_CLUSTERS,
  meanDifference,
  ONLY_LOOK,
  type Pair,
  showDifference,
  toFigure,
} from '../training/non-inferiority.ts'
import type { Figure, SequentialVerdict } from '../training/training-result.ts'

/** Result of replaying one held-out question. */
export interface TrialQuestion {
  readonly question: string
  /** Cluster of near-duplicates that the question belongs to; the question itself unless given. */
  readonly cluster?: string
  /** Tenant that asked, and that gave the label. */
  readonly tenantId: string
  /** Reward of the returned answer, with a fused judge its P(correct) - 1; in [-1, 0]. */
  readonly reward: number
  /** Whether the answer is correct; null when there is no label. */
  readonly correct: boolean | null
  /** True when the answer passed without an optimiser step. */
  readonly firstPass: boolean
  readonly iterations: number
  readonly evaluations: number
  readonly generatedTokens: number
}

/** The same questions in the same order, replayed with the candidate and with a rival. */
interface Trial {
  readonly candidate: readonly TrialQuestion[]
  /** The active weaver; the identity when there is none. */
  readonly active: readonly TrialQuestion[]
}

interface WeaverTrial extends Trial {
  /** Replay with the anchor; null when the anchor is the active weaver. */
  readonly anchor: readonly TrialQuestion[] | null
  /** Same trial with episode memory on, except the episodes of the replayed questions. */
  readonly guard: Trial
  /**
   * Whether the active weaver must be replaced, because it was trained on erased episodes: then no gain over
   * it is asked for. False unless given.
   */
  readonly replacesStale?: boolean
  /** Place of this call in a series that grows by questions; a single look unless given. */
  readonly look?: Look
}

interface Measure {
  readonly of: (one: TrialQuestion) => number | null
  /** Whether every value is 0 or 1. */
  readonly binary: boolean
  /** Whether a loss of it is a loss of quality; false for a cost. */
  readonly isQuality: boolean
}

/** Loss of quality that the intervals must exclude. */
const MARGIN = 0.03
/** A smaller difference may be significant, and still has no practical effect. */
const MIN_DIFFERENCE = 0.005

/** Measures of one question; null leaves the question out. Quality comes first, in the order of comparison. */
const MEASURES = {
  accuracy: {
    of: ({ correct }) => (correct === null ? null : Number(correct)),
    binary: true,
    isQuality: true,
  },
  reward: { of: ({ reward }) => reward, binary: false, isQuality: true },
  firstPass: { of: ({ firstPass }) => Number(firstPass), binary: true, isQuality: true },
  /** Cost of the search: optimiser steps and judged answers. */
  work: { of: ({ iterations, evaluations }) => iterations + evaluations, binary: false, isQuality: false },
  generatedTokens: { of: ({ generatedTokens }) => generatedTokens, binary: false, isQuality: false },
} satisfies Record<string, Measure>

type MeasureName = keyof typeof MEASURES

const MEASURE_NAMES = Object.keys(MEASURES) as readonly MeasureName[]
const QUALITY = MEASURE_NAMES.filter((name) => MEASURES[name].isQuality)

/**
 * Decides on a candidate, or asks for more questions. It is promoted when
 * - it loses nothing: for accuracy, reward and first-pass share, the interval of the paired difference lies
 *   above -.03, to the active weaver (the mean of both trials of a question, without and with memory) and to
 *   the anchor (without memory); and neither trial alone shows a loss;
 * - it gains something over the active weaver: accuracy, reward or first-pass share rises measurably, or the
 *   work falls measurably. Less work never makes up for lost quality, because the first rule comes first. (A
 *   stale active weaver must be replaced, so no gain over it is asked for.)
 * - no tenant decides alone: labels are a tenant's word, so what is said of accuracy also holds without the
 *   questions of each single tenant.
 *
 * A measure of fewer than 30 clusters is reported and decides nothing in either direction. When no measure
 * of quality can decide, the candidate is rejected. It is rejected early when it is measurably worse.
 *
 * @throws ServiceError INTERNAL when the lists do not hold the same questions.
 */
export function gateWeaver({
  candidate,
  active,
  anchor,
  guard,
  replacesStale = false,
  look = ONLY_LOOK,
}: WeaverTrial): SequentialVerdict {
  const own = compare({ candidate, active }, look)
  const anchored = anchor === null ? null : compare({ candidate, active: anchor }, look)
  const guarded = compare(guard, look)
  const both = [{ candidate, active }, guard]
  const figures = {
    metrics: {
      ...own.metrics,
      ...prefixed('anchor', differencesOf(anchored)),
      ...prefixed('guard', guarded.metrics),
    },
    baseline: { ...own.baseline, ...prefixed('guard', guarded.baseline) },
  }
  const isLast = look.index === look.count
  const decide = (decision: SequentialVerdict['decision'], reason: string): SequentialVerdict => ({
    promoted: decision === 'promote',
    isAnchor: raisesQuality({ candidate, active: anchor ?? active }, look),
    decision: decision === 'continue' && isLast ? 'reject' : decision,
    reason,
    ...figures,
  })
  if (candidate.length === 0 || guard.candidate.length === 0) {
    return decide('reject', 'no held-out questions to judge by')
  }
  const losses = [
    ['without memory', lossOf(own.differences)],
    ['with memory on', lossOf(guarded.differences)],
    ['against the anchor', anchored && lossOf(anchored.differences)],
  ] as const
  for (const [name, loss] of losses) if (loss !== null) return decide('reject', `${name}, ${loss}`)
  const doubts = [
    doubtOf(differencesIn(both, look)),
    anchored && prefixedBy('against the anchor, ', doubtOf(anchored.differences)),
    doubtWithoutTenants(both, look),
  ]
  for (const doubt of doubts) if (doubt !== null) return decide('continue', doubt)
  const gain = replacesStale ? 'replaces a weaver trained on erased episodes' : gainOf(both, look)
  if (gain === null) return decide('continue', 'no measurable improvement over the active weaver')
  const unlabelled = isDecisive(own.differences.accuracy)
    ? ''
    : `; judged by the verifier, with ${own.differences.accuracy.n} labels`
  return decide('promote', `${gain}; nothing lost, with memory on or off${unlabelled}`)
}

type Differences = Readonly<Record<MeasureName, Difference>>

interface Comparison {
  readonly metrics: Readonly<Record<string, Figure>>
  readonly baseline: Readonly<Record<string, Figure>>
  readonly differences: Differences
}

function compare({ candidate, active }: Trial, look: Look): Comparison {
  const odd = candidate.find(({ question }, place) => question !== active[place]?.question)
  if (odd !== undefined || candidate.length !== active.length) {
    const got = odd === undefined ? `${candidate.length} and ${active.length}` : 'different ones'
    throw new ServiceError('INTERNAL', `gate: expected both to answer the same questions, got ${got}`)
  }
  const metrics: Record<string, Figure> = {}
  const baseline: Record<string, Figure> = {}
  const differences = differencesIn([{ candidate, active }], look)
  for (const name of MEASURE_NAMES) {
    const pairs = pairsOf({ candidate, active }, name)
    if (pairs.length === 0) continue
    const level = (value: (pair: Pair) => number): Figure =>
      toFigure(
        meanDifference(
          pairs.map((pair) => ({ cluster: pair.cluster, mine: value(pair), theirs: 0 })),
          1.96,
        ),
      )
    metrics[name] = level(({ mine }) => mine)
    baseline[name] = level(({ theirs }) => theirs)
    metrics[`${name}.difference`] = toFigure(differences[name])
  }
  return { metrics, baseline, differences }
}

function differencesIn(trials: readonly Trial[], look: Look): Differences {
  const differenceOf = (name: MeasureName) => difference(trials, name, criticalValue(look))
  return Object.fromEntries(MEASURE_NAMES.map((name) => [name, differenceOf(name)])) as Differences
}

/** Returns the mean difference of a measure; several trials of a question are one observation. */
function difference(trials: readonly Trial[], name: MeasureName, critical: number): Difference {
  const pairs = trials.flatMap((trial) => pairsOf(trial, name))
  return meanDifference(pairs, critical, { binary: MEASURES[name].binary })
}

function pairsOf({ candidate, active }: Trial, name: MeasureName): readonly Pair[] {
  const { of } = MEASURES[name]
  return candidate.flatMap((one, place) => {
    const [mine, theirs] = [of(one), of(active[place]!)]
    return mine === null || theirs === null ? [] : [{ cluster: one.cluster ?? one.question, mine, theirs }]
  })
}

/** Returns a quality that is measurably lost; null when there is none. */
function lossOf(differences: Differences): string | null {
  const lost = QUALITY.find(
    (name) => isDecisive(differences[name]) && differences[name].high < -MIN_DIFFERENCE,
  )
  return lost === undefined ? null : `${lost} ${showDifference(differences[lost])} is a loss`
}

/** Returns why it is not shown that nothing is lost; null when it is shown. */
function doubtOf(differences: Differences): string | null {
  const decisive = QUALITY.filter((name) => isDecisive(differences[name]))
  if (decisive.length === 0) return `fewer than ${MIN_CLUSTERS} questions to judge by`
  const unsure = decisive.find((name) => differences[name].low <= -MARGIN)
  return unsure === undefined
    ? null
    : `${unsure} ${showDifference(differences[unsure])}: may lose ${MARGIN} or more`
}

/**
 * Returns why accuracy may be lost by the other tenants when the labels of one are ignored; null when it is
 * not. A tenant that gave nearly all labels is not ignored: too few questions would remain.
 */
function doubtWithoutTenants(trials: readonly Trial[], look: Look): string | null {
  for (const part of withoutEachTenant(trials)) {
    const accuracy = difference(part, 'accuracy', criticalValue(look))
    if (isDecisive(accuracy) && accuracy.low <= -MARGIN) {
      return `without the labels of one tenant, accuracy ${showDifference(accuracy)}: may lose ${MARGIN} or more`
    }
  }
  return null
}

function gainOf(trials: readonly Trial[], look: Look): string | null {
  const critical = gainCriticalValue(look)
  for (const name of QUALITY) {
    const measured = difference(trials, name, critical)
    const rises = (part: readonly Trial[]) => isGain(difference(part, name, critical))
    if (!isDecisive(measured) || !isGain(measured)) continue
    if (name === 'accuracy' && !withoutEachTenant(trials).every(rises)) continue
    return `${name} rises: ${showDifference(measured)}`
  }
  const work = difference(trials, 'work', critical)
  return isDecisive(work) && work.high < 0 && work.value < -MIN_DIFFERENCE
    ? `steps and evaluations fall: ${showDifference(work)}`
    : null
}

function isGain({ low, value }: Difference): boolean {
  return low > 0 && value > MIN_DIFFERENCE
}

/**
 * Returns whether the anchor moves to the candidate: accuracy rises measurably or, without enough labels,
 * reward. First passes save work; they are no reason to forget a version that answers better.
 */
function raisesQuality(trial: Trial, look: Look): boolean {
  const critical = gainCriticalValue(look)
  const accuracy = difference([trial], 'accuracy', critical)
  const decisive = isDecisive(accuracy) ? accuracy : difference([trial], 'reward', critical)
  return isDecisive(decisive) && isGain(decisive)
}

/** Returns the trials without each of their tenants in turn; nothing when all questions are of one tenant. */
function withoutEachTenant(trials: readonly Trial[]): readonly (readonly Trial[])[] {
  const tenants = new Set(trials.flatMap(({ candidate }) => candidate.map(({ tenantId }) => tenantId)))
  if (tenants.size < 2) return []
  return [...tenants].map((tenant) =>
    trials.map(({ candidate, active }) => ({
      candidate: candidate.filter(({ tenantId }) => tenantId !== tenant),
      active: active.filter((_, place) => candidate[place]!.tenantId !== tenant),
    })),
  )
}

function prefixedBy(prefix: string, text: string | null): string | null {
  return text === null ? null : `${prefix}${text}`
}

function differencesOf(comparison: Comparison | null): Readonly<Record<string, Figure>> {
  const all = Object.entries(comparison?.metrics ?? {})
  return Object.fromEntries(all.filter(([name]) => name.endsWith('.difference')))
}

function prefixed(prefix: string, figures: Readonly<Record<string, Figure>>) {
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [`${prefix}.${name}`, figure]))
}
