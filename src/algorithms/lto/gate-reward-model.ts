/** @file Whether a freshly trained latent reward model may serve. */

import type { Figure, GateVerdict } from '../training/training-result.ts'
import { accuracy, auc, ece, f1, pairedAucDifference, type ScoredAnswer, withScores } from './metrics.ts'

export interface RewardModelTrial {
  /** Held out from the candidate's training, with the candidate's scores. */
  readonly answers: readonly ScoredAnswer[]
  /** The scores of what serves now, for the same answers in the same order; null when nothing does. */
  readonly active: readonly number[] | null
  /** Seeds the resampling. */
  readonly seed: number
}

/** Largest loss of AUC that is let through when the answers are too few to tell it from none. */
const MAX_LOSS = 0.02

/**
 * A candidate is promoted when the 95 % interval of its AUC lies above .5 and, if another one serves, it loses nothing that can be
 * measured against it: the interval of the paired difference reaches 0, and the difference itself is above -.02, so that on few
 * answers a run of nights cannot slip downhill within the noise. Scores equal to the active one's are no reason to change.
 *
 * @throws ServiceError INTERNAL when a score is not a number, or the lists differ in length.
 */
export function gateRewardModel({ answers, active, seed }: RewardModelTrial): GateVerdict {
  const metrics = measureAnswers(answers, seed)
  const own = metrics['auc']!
  const chance = own.low !== undefined && own.low > 0.5
  if (active === null) {
    const reason = `AUC ${show(own)} ${chance ? 'is above' : 'is not surely above'} .5`
    return { promoted: chance, reason, metrics, baseline: {} }
  }
  const rivals = withScores(answers, active)
  const difference = pairedAucDifference(answers, active, { seed })
  const compared = {
    metrics: { ...metrics, 'auc.difference': difference },
    baseline: measureAnswers(rivals, seed),
  }
  const verdict = (promoted: boolean, reason: string) => ({ promoted, reason, ...compared })
  if (!chance) return verdict(false, `AUC ${show(own)} is not surely above .5`)
  if (answers.every(({ score }, index) => score === active[index])) {
    return verdict(false, 'scores every answer as the active one does')
  }
  const loses = !(difference.high !== undefined && difference.high >= 0)
  if (loses) return verdict(false, `AUC against the active one ${show(difference)} is a loss`)
  if (difference.value <= -MAX_LOSS) {
    return verdict(false, `AUC against the active one ${show(difference)}: may lose more than ${MAX_LOSS}`)
  }
  return verdict(true, `AUC against the active one ${show(difference)} is no loss`)
}

/** AUC, F1, accuracy and ECE of the same answers. */
export function measureAnswers(
  answers: readonly ScoredAnswer[],
  seed: number,
): Readonly<Record<string, Figure>> {
  const options = { seed }
  return {
    auc: auc(answers, options),
    f1: f1(answers, options),
    accuracy: accuracy(answers, options),
    ece: ece(answers, options),
  }
}

function show({ value, low, high, n }: Figure): string {
  const interval =
    low === undefined || high === undefined ? 'no interval' : `${low.toFixed(3)} to ${high.toFixed(3)}`
  return `${value.toFixed(3)} (${interval}, n = ${n})`
}
