/** @file Chooses the score by which samples are compared while no fused judge is active. */

import type { SolveDefaults } from '#engine'
import { choosersOfSamples, VOTE_BY_LIKELIHOOD } from '#evaluation'
import { UNTRAINED_SELECTORS } from '#ports'
import { chooseBest } from './is-better.ts'
import type { BankRecord } from './measure-policy.ts'

type Selector = SolveDefaults['selector']

export interface SelectorChoice {
  readonly problems: number
  /** Accuracy of the sample that each chooses, with a vote as the first row. */
  readonly rows: readonly { readonly name: string; readonly accuracy: number }[]
  readonly chosen: Selector
}

/** Fewer problems with a right and a wrong sample choose no other score. */
const MIN_MIXED = 30

/**
 * Chooses the score whose best samples are right most often, on the samples of the policy. The profile's own stays unless another is
 * better by more than one standard error of the paired difference.
 *
 * @returns null for too few problems on which the choice matters
 */
export function chooseSelector(banks: readonly BankRecord[], own: Selector): SelectorChoice | null {
  const mixed = banks.filter(
    ({ samples }) => samples.some(({ right }) => right) && samples.some(({ right }) => !right),
  )
  if (mixed.length < MIN_MIXED) return null
  const trialsOf = (name: string) =>
    banks.map(({ samples }) => choosersOfSamples[name]?.(samples)?.right ?? false)
  const scoring = UNTRAINED_SELECTORS.filter(
    (name) => name === own || banks.every(({ samples }) => choosersOfSamples[name]?.(samples) != null),
  )
  const trials = scoring.map(trialsOf)
  return {
    problems: banks.length,
    rows: [VOTE_BY_LIKELIHOOD, ...scoring].map((name) => ({
      name,
      accuracy: trialsOf(name).filter(Boolean).length / banks.length,
    })),
    chosen: scoring[chooseBest(trials, scoring.indexOf(own))]!,
  }
}
