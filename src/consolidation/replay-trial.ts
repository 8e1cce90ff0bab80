/** @file Two weavers over the same held-out questions, without memory and with it. */

import { gateWeaver, identityWeaver, type TrialQuestion } from '#algorithms'
import type { EpisodeStore, HeldOutQuestion } from '#episodes'
import type { Weaver } from '#ports'
import { type ReplayDeps, replay } from './replay.ts'

export interface ReplayTrialOptions {
  readonly engine: ReplayDeps['engine']
  readonly episodes: EpisodeStore
  readonly logger: ReplayDeps['logger']
  readonly candidate: Weaver
  /** null: the identity, which is what serves before the first consolidation. */
  readonly incumbent: Weaver | null
  readonly questions: readonly HeldOutQuestion[]
  readonly seed: number
  readonly signal: AbortSignal
  /** Share that is done, in [0, 1]. */
  readonly report: (share: number) => void
}

/** Replays everything four times, and asks the gate. @throws what `replay` throws */
export async function runReplayTrial({
  candidate,
  incumbent,
  questions,
  seed,
  signal,
  report,
  ...deps
}: ReplayTrialOptions): Promise<ReturnType<typeof gateWeaver>> {
  const exclude = questions.flatMap(({ episodeIds }) => episodeIds)
  let done = 0
  async function solveBy(weaver: Weaver, retrieval: boolean): Promise<readonly TrialQuestion[]> {
    const options = { learned: { weaver, rewardModel: null }, retrieval, exclude, signal }
    const results = await replay(deps, questions, options)
    done += 1
    report(done / 4)
    return results
  }
  const active = incumbent ?? identityWeaver
  return gateWeaver({
    candidate: await solveBy(candidate, false),
    active: await solveBy(active, false),
    guard: { candidate: await solveBy(candidate, true), active: await solveBy(active, true) },
    seed,
  })
}
