/** @file Gate of the latent reward model: decides whether a newly trained one is promoted. */

import type { Figure, GateVerdict } from '../training/training-result.ts'
import { accuracy, auc, ece, f1, pairedAucDifference, type ScoredAnswer, withScores } from './metrics.ts'

/** Scores of a candidate and of the active version on the same held-out answers. */
interface RewardModelTrial {
  /** Answers held out from the candidate's training, with the candidate's scores. */
  readonly answers: readonly ScoredAnswer[]
  /** Scores of the active version, for the same answers in the same order; null when none is active. */
  readonly active: readonly number[] | null
  /** Seed of the resampling. */
  readonly seed: number
}

/**
 * Upper bound on the loss of AUC that is accepted when the answers are too few to distinguish it from none.
 */
const MAX_LOSS = 0.02

/**
 * Decides on a candidate. It is promoted when the 95 % interval of its AUC lies above .5 and, if another
 * version is active, it shows no measurable loss against that: the interval of the paired difference reaches
 * 0, and the difference itself is above -.02, so that a series of consolidations on few answers cannot lose
 * quality step by step within the noise. A candidate whose scores equal the active version's is rejected.
 *
 * @throws ServiceError INTERNAL when a score is not a number, or the lists differ in length.
 */
export function gateRewardModel({ answers, active, seed }: RewardModelTrial): GateVerdict {
  const metrics = measureAnswers(answers, seed)
  const own = metrics['auc']!
  const beatsChance = own.low !== undefined && own.low > 0.5
  if (active === null) {
    const reason = `AUC ${show(own)} ${beatsChance ? 'is above' : 'is not surely above'} .5`
    return { promoted: beatsChance, reason, metrics, baseline: {} }
  }
  const activeAnswers = withScores(answers, active)
  const difference = pairedAucDifference(answers, active, { seed })
  const compared = {
    metrics: { ...metrics, 'auc.difference': difference },
    baseline: measureAnswers(activeAnswers, seed),
  }
  const verdict = (promoted: boolean, reason: string) => ({ promoted, reason, ...compared })
  if (!beatsChance) return verdict(false, `AUC ${show(own)} is not surely above .5`)
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

/** Returns AUC, F1, accuracy and ECE of scored answers. */
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
