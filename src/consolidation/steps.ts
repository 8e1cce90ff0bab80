/** @file The steps of a consolidation, in order, and how much of its time each takes. */

import type { ArtifactKind } from '#artifacts'

const STEPS = [
  { name: 'snapshot', share: 0.03 },
  { name: 'train', share: 0.55 },
  { name: 'gate', share: 0.36 },
  { name: 'promote', share: 0.02 },
  { name: 'prune', share: 0.03 },
  { name: 'report', share: 0.01 },
] as const

/** What the last step records. */
export const REPORT = 'report' satisfies (typeof STEPS)[number]['name']

export type StepName = (typeof STEPS)[number]['name']

const STEP_NAMES: readonly StepName[] = STEPS.map(({ name }) => name)

/** Under which a kind's step is recorded. */
export function recordName(step: StepName, kind: ArtifactKind): string {
  return `${step}.${kind}`
}

/** Progress of the whole when `done`, a share in [0, 1], of a step is done. */
export function progressAt(step: StepName, done: number): number {
  const index = STEP_NAMES.indexOf(step)
  const before = STEPS.slice(0, index).reduce((sum, { share }) => sum + share, 0)
  const progress = before + (STEPS[index]?.share ?? 0) * Math.min(1, Math.max(0, done))
  return Math.min(1, Math.round(progress * 1_000) / 1_000)
}
