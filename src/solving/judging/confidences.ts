/** @file Scores answers by the active latent reward model, each answer once. A model that fails does not fail the request. */

import type { Answer } from '#algorithms'
import { coerceError, ServiceError } from '#errors'
import type { LatentRewardModel } from '#ports'
import type { Degraded, SolverLogger } from '../contract.ts'
import { unlessAborted } from '../unless-aborted.ts'

export interface Confidences {
  /**
   * Returns calibrated P(correct) in [0, 1], in order; null for an answer without a thought. Returns null for all when there
   * is no model, the time is up, or the model has failed in this request: then `degraded` names `lrm`.
   */
  of(answers: readonly Answer[]): Promise<readonly (number | null)[] | null>
}

export interface ConfidencesOptions {
  readonly rewardModel: LatentRewardModel | null
  readonly signal: AbortSignal
  readonly logger: SolverLogger
  readonly degraded: Set<Degraded>
}

export function createConfidences({
  rewardModel,
  signal,
  logger,
  degraded,
}: ConfidencesOptions): Confidences {
  const known = new Map<Answer, number>()
  let model = rewardModel

  async function learn(fresh: readonly Answer[]): Promise<boolean> {
    const thoughts = fresh.flatMap(({ thought }) => thought ?? [])
    if (model === null || signal.aborted) return false
    if (thoughts.length === 0) return true
    try {
      const scores = await unlessAborted(signal, async () =>
        checked(await model!.score(thoughts), thoughts.length),
      )
      if (scores === null) return false
      for (const [index, answer] of fresh.entries()) known.set(answer, scores[index]!)
      return true
    } catch (error) {
      // One warning is enough, and answers that are compared must be scored by the same rule.
      model = null
      degraded.add('lrm')
      logger.warn(
        { err: coerceError(error), rewardModel: rewardModel?.version },
        'latent reward model failed: solving without it',
      )
      return false
    }
  }

  return {
    async of(answers) {
      const fresh = answers.filter((answer) => answer.thought !== null && !known.has(answer))
      if (rewardModel === null || (fresh.length > 0 && !(await learn(fresh)))) return null
      return answers.map((answer) => known.get(answer) ?? null)
    },
  }
}

/** Refuses scores outside [0, 1]: NaN would silently win or lose every comparison. */
function checked(scores: readonly number[], count: number): readonly number[] {
  const wrong = scores.find((score) => !(score >= 0 && score <= 1))
  if (wrong === undefined && scores.length === count) return scores
  throw new ServiceError(
    'ARTIFACT_INVALID',
    `confidence: expected ${count} scores in [0, 1], got ${wrong === undefined ? scores.length : wrong}`,
  )
}
