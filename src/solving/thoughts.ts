/** @file Latent thoughts: which requests ask for them, and which ones an episode keeps (LTO, arXiv 2509.26314, section 3). */

import { type Evaluation, fitFloat16 } from '#algorithms'
import type { LatentThought } from '#ports'
import type { JudgedCandidate, RunRecord } from './run.ts'

/** Whether this request asks how its answers were thought: somebody will learn from it, or scores by it now. */
export function asksForThoughts({ request, settings, engine, episodes, rewardModel }: RunRecord): boolean {
  if (engine.thoughtLayers === 0) return false
  const isKept = request.learn && episodes !== null && settings.thoughts > 0
  return isKept || rewardModel !== null || request.strategy === 'lto'
}

/** Null for a thought that is not made of numbers: one of those in a batch would spoil the scores of all. */
export function soundThought(thought: LatentThought | null): LatentThought | null {
  return thought?.data.every(Number.isFinite) ? thought : null
}

/**
 * The thoughts that an episode keeps, by candidate: at most `limit`, the returned answer's first, then in the order in which
 * they came; only those that half precision can hold.
 */
export function thoughtsToKeep(
  candidates: readonly JudgedCandidate[],
  chosen: Evaluation,
  limit: number,
): ReadonlyMap<JudgedCandidate, LatentThought> {
  const first = candidates.filter(({ evaluation }) => evaluation === chosen)
  const others = candidates.filter(({ evaluation }) => evaluation !== chosen)
  const kept = new Map<JudgedCandidate, LatentThought>()
  for (const candidate of [...first, ...others]) {
    if (kept.size >= limit) break
    const { thought } = candidate.evaluation.answer
    if (thought !== null && fitFloat16({ ...thought, length: thought.layers })) kept.set(candidate, thought)
  }
  return kept
}
