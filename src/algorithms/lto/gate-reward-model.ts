/** @file Gate of the latent reward model: decides whether a newly trained one is promoted. */

import { isDecisive, type Pair, showDifference } from '../training/non-inferiority.ts'
import type { Figure, GateVerdict } from '../training/training-result.ts'
import { choiceAccuracy, withinQuestionAuc } from './choice-metrics.ts'
import {
  compareChoice,
  difference,
  type GateAnswer,
  lossToCallers,
  measureAnswers,
  mixedOf,
  pairsOf,
  type Questions,
  questionsOf,
  reasonAgainstOrder,
  reported,
  rises,
  scoredBy,
  showLevel,
  withoutEachTenant,
} from './compare-questions.ts'
import { pairedAucDifference, withScores } from './metrics.ts'

/** Scores of a candidate and of its rivals on the same held-out answers. */
interface RewardModelTrial {
  /** Answers held out from the candidate's training, with the candidate's scores. */
  readonly answers: readonly GateAnswer[]
  /** Scores of the active version, for the same answers in the same order; null when none is active. */
  readonly active: readonly number[] | null
  /** Scores of the anchor; null when there is none, or it is the active version. */
  readonly anchor: readonly number[] | null
  /**
   * Whether the active version must be replaced, because it was trained on erased episodes: then no gain over
   * it is asked for. False unless given.
   */
  readonly replacesStale?: boolean
  /** Seed of the resampling. */
  readonly seed: number
  /** Number of resamples of the intervals that are only reported; 1,000 unless given. */
  readonly resamples?: number
}

/** Loss of within-question AUC that the interval must exclude. */
const AUC_MARGIN = 0.01

/**
 * Decides on a candidate by what it is used for: choosing between the answers of one question. All
 * comparisons are over mixed questions, those with right and wrong answers. It is promoted when
 * - it orders answers: its within-question AUC is surely above .5, and its best answer is surely right more
 *   often than a random one. A score that knows only how hard a question is fails both;
 * - it loses nothing: the interval of the difference in within-question AUC to the active version and to the
 *   anchor lies above -.01, it is not measurably lower by the labels of callers alone, and its choice is not measurably
 *   worse than the verifier's or the majority's;
 * - it gains something over the active version: within-question AUC or accuracy of the choice rises
 *   measurably, also without the answers of any single tenant. (A stale active version must be replaced, so
 *   no gain over it is asked for.)
 *
 * Fewer than 30 mixed clusters decide nothing, so the candidate is rejected. AUC over all answers, F1,
 * accuracy and calibration error are reported only.
 *
 * @throws ServiceError INTERNAL when a score is not a number, or the lists differ in length.
 */
export function gateRewardModel({
  answers,
  active,
  anchor,
  replacesStale = false,
  seed,
  resamples = 1_000,
}: RewardModelTrial): GateVerdict {
  const all = questionsOf(answers)
  const questions = mixedOf(all)
  const choice = compareChoice(questions)
  const metrics: Record<string, Figure> = {
    ...measureAnswers(answers, { seed, resamples }),
    ...reported(choice),
  }
  const baseline: Record<string, Figure> = {}
  const rivalOf = (name: string, scores: readonly number[]) => {
    const rival = scoredBy(all, answers, scores)
    const inAuc = (part: Questions) =>
      pairsOf(part, withinQuestionAuc, (one) => withinQuestionAuc(rival(one)))
    const inChoice = (part: Questions) => pairsOf(part, choiceAccuracy, (one) => choiceAccuracy(rival(one)))
    const differences = {
      [`${name}withinAuc.difference`]: difference(inAuc(questions)),
      [`${name}choice.difference`]: difference(inChoice(questions)),
    }
    Object.assign(metrics, reported(differences))
    return { rival, inAuc, inChoice }
  }
  const fromActive = active === null ? null : rivalOf('', active)
  const fromAnchor = anchor === null ? null : rivalOf('anchor.', anchor)
  if (active !== null && fromActive !== null) {
    metrics['auc.difference'] = pairedAucDifference(answers, active, { seed, resamples })
    const { withinAuc, choice: chosen } = compareChoice(questions.map(fromActive.rival))
    Object.assign(baseline, measureAnswers(withScores(answers, active), { seed, resamples }))
    Object.assign(baseline, reported({ withinAuc, choice: chosen }))
  }

  const best = fromAnchor ?? fromActive
  const isAnchor = best === null || rises(best.inAuc(questions)) || rises(best.inChoice(questions))
  const verdict = (promoted: boolean, reason: string): GateVerdict => ({
    promoted,
    isAnchor,
    reason,
    metrics,
    baseline,
  })
  const ordering = choice.withinAuc
  const unordered = reasonAgainstOrder(ordering)
  if (unordered !== null) return verdict(false, unordered)
  if (choice['choice.overRandom'].low <= 0) {
    const shown = showDifference(choice['choice.overRandom'])
    return verdict(false, `its choice over a random one ${shown} is not surely better`)
  }
  for (const [name, own] of [
    ["the verifier's", choice['choice.overVerifier']],
    ["the majority's", choice['choice.overMajority']],
  ] as const) {
    if (isDecisive(own) && own.high < 0) {
      return verdict(false, `its choice over ${name} ${showDifference(own)} is worse`)
    }
  }
  for (const [name, rival] of [
    ['active one', fromActive],
    ['anchor', fromAnchor],
  ] as const) {
    if (rival === null) continue
    const loss = difference(rival.inAuc(questions))
    if (loss.low <= -AUC_MARGIN) {
      const shown = showDifference(loss)
      return verdict(
        false,
        `within-question AUC against the ${name} ${shown}: may lose ${AUC_MARGIN} or more`,
      )
    }
    const told = lossToCallers(questions, rival.inAuc)
    if (told !== null) return verdict(false, `within-question AUC against the ${name} ${told}`)
  }
  if (fromActive === null) {
    return verdict(
      true,
      `within-question AUC ${showLevel(ordering)} is above .5, and its choice beats a random one`,
    )
  }
  if (replacesStale) return verdict(true, 'replaces a version trained on erased episodes; nothing lost')
  const parts = [questions, ...withoutEachTenant(questions)]
  const gains: readonly (readonly [string, (part: Questions) => readonly Pair[]])[] = [
    ['within-question AUC', fromActive.inAuc],
    ['accuracy of the choice', fromActive.inChoice],
  ]
  for (const [name, inMeasure] of gains) {
    if (parts.every((part) => rises(inMeasure(part)))) {
      return verdict(true, `${name} rises: ${showDifference(difference(inMeasure(questions)))}`)
    }
  }
  return verdict(false, 'no measurable improvement over the active one')
}
