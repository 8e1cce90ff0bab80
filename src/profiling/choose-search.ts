/** @file Chooses learning rate, rho, patience and latents of the search from searches that no verdict ended. */

import { updateLength } from '#algorithms'
import { chooseBest } from './is-better.ts'

/** One search. */
export interface SearchRecord {
  /** Rewards of draft and evaluated answers, in order. */
  readonly rewards: readonly number[]
  readonly isDraftRight: boolean
  readonly isRight: boolean
  /** Whether an evaluated answer differs from the draft's. */
  readonly changed: boolean
  readonly draftTokens: number
  readonly tokens: number
}

export interface Rates {
  readonly lr: number
  readonly rho: number
}

export interface SearchRow extends Rates {
  readonly n: number
  /** Share of searches with an answer other than the draft's. */
  readonly changed: number
  /** Share of searches with a reward above the draft's. */
  readonly better: number
  /** Number of wrong drafts with a right answer, and of right drafts with a wrong one, by the reward. */
  readonly mended: number
  readonly spoilt: number
  /** Mean generated tokens of a search, in tokens of the draft. */
  readonly cost: number
}

/** Fewer searches choose no rate. */
export const MIN_SEARCHES = 8
/** Fewer rises of the reward choose no patience. */
const MIN_RISES = 10
/** Share of the rises that a patience keeps. */
const KEPT_RISES = 0.9
const MAX_LATENTS = 300

/** Returns multiples of a value of the profile, rounded to three digits; the value itself, of factor 1, has all of its digits. */
export function multiplesOf(own: number, factors: readonly number[]): number[] {
  return factors.map((factor) => (factor === 1 ? own : Number((factor * own).toPrecision(3))))
}

export function searchRow(rates: Rates, searches: readonly SearchRecord[]): SearchRow {
  const n = searches.length
  const count = (of: (search: SearchRecord) => boolean) => searches.filter(of).length
  const draftTokens = searches.reduce((sum, search) => sum + search.draftTokens, 0)
  return {
    ...rates,
    n,
    changed: count(({ changed }) => changed) / n,
    better: count(findsBetter) / n,
    mended: count(({ isDraftRight, isRight }) => !isDraftRight && isRight),
    spoilt: count(({ isDraftRight, isRight }) => isDraftRight && !isRight),
    cost: searches.reduce((sum, { tokens }) => sum + tokens, 0) / Math.max(1, draftTokens),
  }
}

/**
 * Returns the place of the rates with which most searches found a better reward, if they are better than the profile's
 * own; rates that spoilt more drafts than they mended are not chosen.
 *
 * @param searches of each row, on the same problems
 * @param own place of the profile's own rates
 * @returns null for fewer than 8 searches
 */
export function chooseRates(
  rows: readonly SearchRow[],
  searches: readonly (readonly SearchRecord[])[],
  own: number,
): number | null {
  if (rows.length === 0 || rows.some(({ n }) => n < MIN_SEARCHES)) return null
  const isHarmful = (index: number) => index !== own && rows[index]!.spoilt > rows[index]!.mended
  const trials = searches.map((each, index) => each.map((search) => !isHarmful(index) && findsBetter(search)))
  return chooseBest(trials, own)
}

const findsBetter = ({ rewards }: SearchRecord) => Math.max(...rewards) > rewards[0]!

export interface PatienceRow {
  readonly patience: number
  /** Share of the rises of the best reward that came within this many evaluations. */
  readonly kept: number
}

/** Returns how many rises each patience keeps, and the least that keeps nine tenths; null for fewer than 10 rises. */
export function choosePatience(searches: readonly SearchRecord[]): {
  readonly rises: number
  readonly rows: readonly PatienceRow[]
  readonly patience: number | null
} {
  const gaps = searches.flatMap(({ rewards }) => gapsOf(rewards))
  const most = Math.max(0, ...gaps)
  const rows = Array.from({ length: most }, (_, index) => ({
    patience: index + 1,
    kept: gaps.filter((gap) => gap <= index + 1).length / gaps.length,
  }))
  const enough = rows.find(({ kept }) => kept >= KEPT_RISES)
  return { rises: gaps.length, rows, patience: gaps.length < MIN_RISES ? null : (enough?.patience ?? null) }
}

/** Numbers of evaluations from each best reward to the next. */
function gapsOf(rewards: readonly number[]): number[] {
  const gaps: number[] = []
  let best = 0
  for (const [index, reward] of rewards.entries()) {
    if (reward <= rewards[best]!) continue
    gaps.push(index - best)
    best = index
  }
  return gaps
}

/** Returns the positions that a search moves in the draft of median length. */
export function chooseLatents(rho: number, draftTokens: readonly number[]): number {
  const sorted = draftTokens.toSorted((a, b) => a - b)
  return Math.min(MAX_LATENTS, updateLength(rho, sorted[Math.floor(sorted.length / 2)] ?? 1))
}
