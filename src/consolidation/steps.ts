/** @file The steps of a consolidation: order, shares of its time, names and types of their records. */

import type { ArtifactKind } from '#artifacts'

const STEPS = [
  { name: 'evidence', share: 0.08 },
  { name: 'snapshot', share: 0.02 },
  { name: 'split', share: 0.02 },
  { name: 'train', share: 0.5 },
  { name: 'gate', share: 0.32 },
  { name: 'promote', share: 0.02 },
  { name: 'prune', share: 0.03 },
  { name: 'report', share: 0.01 },
] as const

/** Name of the last step and of its record, the report. */
export const REPORT = 'report' satisfies (typeof STEPS)[number]['name']

export type StepName = (typeof STEPS)[number]['name']

/** Record of a step that had nothing to do for a kind, with the reason in words. */
export interface Skipped {
  readonly skipped: string
}

/** Record of the step `prune`. */
export interface Pruned {
  /** Number of near-duplicate episodes that were excluded from retrieval. */
  readonly retired: number
  /** Number of thoughts that were deleted, of episodes of which the reward model has learned. */
  readonly thinned: number
}

const STEP_NAMES: readonly StepName[] = STEPS.map(({ name }) => name)

/** Name of the record of a step that runs once for each kind. */
export function recordName(step: StepName, kind: ArtifactKind): string {
  return `${step}.${kind}`
}

/** Progress of the whole consolidation, in [0, 1], when the share `done`, in [0, 1], of a step is done. */
export function progressAt(step: StepName, done: number): number {
  const index = STEP_NAMES.indexOf(step)
  const before = STEPS.slice(0, index).reduce((sum, { share }) => sum + share, 0)
  const progress = before + (STEPS[index]?.share ?? 0) * Math.min(1, Math.max(0, done))
  return Math.min(1, Math.round(progress * 1_000) / 1_000)
}
