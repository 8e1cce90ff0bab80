/** @file Gate of the fused judge: decides whether a newly fitted one is promoted. */

import { choiceAccuracy, withinQuestionAuc } from '../lto/choice-metrics.ts'
import {
  CRITICAL,
  compareChoice,
  difference,
  GAIN_CRITICAL,
  type GateAnswer,
  type GateQuestion,
  lossToCallers,
  measureAnswers,
  measureChoice,
  mixedOf,
  pairsOf,
  type Questions,
  questionsOf,
  reasonAgainstOrder,
  reported,
  rises,
  scoredBy,
  withoutEachTenant,
} from '../lto/compare-questions.ts'
import { brierScore, withScores } from '../lto/metrics.ts'
import type { BootstrapOptions } from '../training/bootstrap.ts'
import { isDecisive, meanDifference, type Pair, showDifference } from '../training/non-inferiority.ts'
import type { Figure, GateVerdict } from '../training/training-result.ts'

/** Scores of a rival on the held-out answers, in their order. */
interface JudgeRival {
  /** Scores that order answers. */
  readonly order: readonly number[]
  /** P(correct), in [0, 1]. */
  readonly probability: readonly number[]
}

interface JudgeTrial {
  /** Held-out answers with the candidate's P(correct). */
  readonly answers: readonly GateAnswer[]
  /** Active version; without one, the weighting by hand of the model profile: the reward, and the verifier's P(correct). */
  readonly active: JudgeRival
  /** Whether `active` is a version: the first one must beat the weighting by hand. */
  readonly hasActive: boolean
  /** Anchor; null when there is none, or it is the active version. */
  readonly anchor: JudgeRival | null
  /**
   * Accuracy of each held-out question under the candidate's policy, beside that of the active version or, where it has none, that
   * of the vote of `auto` without a policy (`comparePolicies`); none unless given.
   */
  readonly policies?: readonly Pair[]
  /** Whether the active version must be replaced, because it was trained on erased episodes. */
  readonly replacesStale: boolean
  /** Seed of the resampling. */
  readonly seed: number
  /** Number of resamples of the intervals that are only reported; 1,000 unless given. */
  readonly resamples?: number
}

/** Loss that the intervals must exclude, of within-question AUC and of the Brier score, from version to version. */
const MARGIN = 0.01
/**
 * Loss of within-question AUC that the first version's interval must exclude, against the weighting by hand. Wider than from
 * version to version, and at a one-sided level of .05, because it is granted once: later losses could add up.
 */
const FIRST_MARGIN = 0.02

/**
 * Decides on a candidate by its three uses: it orders the answers of one question (within-question AUC, over questions with right
 * and wrong answers), and its P(correct) says when to stop (Brier score, the mean squared error of P(correct), over all
 * questions), and its policy says what `auto` does next (accuracy, over questions with samples). It is promoted when
 * - its within-question AUC is surely above .5;
 * - it loses nothing: each interval of the difference to the active version and to the anchor excludes a loss of .01, against the
 *   weighting by hand one of .02 in within-question AUC; and neither measure, nor the accuracy of its choice, is measurably lower,
 *   also by the labels of callers alone; nor is the accuracy of its policy;
 * - it gains order or calibration measurably over the active version, also without the answers of any single tenant; or its policy
 *   answers more of the held-out questions, 30 at least. That gain need not be measurable again: cross-validation has shown it by more
 *   than one standard error where it was chosen (`chooseByEffort`), and here nothing else is lost. (A stale active version must be
 *   replaced, so no gain over it is asked for.)
 *
 * Fewer than 30 clusters decide nothing: the candidate is rejected, and what serves stays. So does the weighting by hand while the
 * questions are too few to show that nothing of its order is lost; the fit starts from it (`fitJudge`), so that it is mostly kept.
 * AUC over all answers, F1, accuracy and calibration error are reported only.
 *
 * @throws ServiceError INTERNAL when a score is not a number, or the lists differ in length.
 */
export function gateJudge({
  answers,
  active,
  hasActive,
  anchor,
  policies = [],
  replacesStale,
  seed,
  resamples = 1_000,
}: JudgeTrial): GateVerdict {
  const questions = questionsOf(answers)
  const beside = (rival: JudgeRival) => compareWith(questions, answers, rival)
  const fromActive = beside(active)
  const fromAnchor = anchor === null ? null : beside(anchor)
  const metrics: Record<string, Figure> = { ...measureJudge(answers, { seed, resamples }) }
  for (const [prefix, comparison] of [
    ['', fromActive],
    ['anchor.', fromAnchor],
  ] as const) {
    if (comparison === null) continue
    const differences = Object.entries(comparison).map(([name, pairs]) => [
      `${prefix}${name}.difference`,
      difference(pairs(questions)),
    ])
    Object.assign(metrics, reported(Object.fromEntries(differences)))
  }
  const { withinAuc, choice } = compareChoice(
    mixedOf(questions).map(scoredBy(questions, answers, active.order)),
  )
  const policy = meanDifference(policies, CRITICAL, { binary: true })
  Object.assign(metrics, reported({ 'policy.difference': policy }))
  const baseline = {
    ...measureJudge(withScores(answers, active.probability), { seed, resamples }),
    ...reported({ withinAuc, choice }),
  }
  const best = fromAnchor ?? fromActive
  const isAnchor = !hasActive || rises(best.withinAuc(questions)) || rises(best.brier(questions))
  const verdict = (promoted: boolean, reason: string): GateVerdict => ({
    promoted,
    isAnchor,
    reason,
    metrics,
    baseline,
  })
  const unordered = reasonAgainstOrder(compareChoice(mixedOf(questions)).withinAuc)
  if (unordered !== null) return verdict(false, unordered)
  const name = hasActive ? 'the active one' : 'the weighting of the profile'
  const loss = lossOf(fromActive, questions, !hasActive)
  if (loss !== null) return verdict(false, `${loss.measure} against ${name} ${loss.shown}`)
  const anchorLoss = fromAnchor && lossOf(fromAnchor, questions, false)
  if (anchorLoss) return verdict(false, `${anchorLoss.measure} against the anchor ${anchorLoss.shown}`)
  if (isDecisive(policy) && policy.high < 0) {
    return verdict(false, `accuracy of its policy ${showDifference(policy)} is lower`)
  }
  if (replacesStale) return verdict(true, 'replaces a version trained on erased episodes; nothing lost')
  const parts = [questions, ...withoutEachTenant(questions)]
  for (const measure of ['withinAuc', 'brier'] as const) {
    if (!parts.every((part) => rises(fromActive[measure](part)))) continue
    const shown = showDifference(difference(fromActive[measure](questions)))
    return verdict(true, `${NAMES[measure]} improves over ${name}: ${shown}`)
  }
  if (isDecisive(policy) && policy.value > 0) {
    return verdict(true, `its policy answers more questions: ${showDifference(policy)}`)
  }
  return verdict(false, `no measurable improvement over ${name}`)
}

/** Pairs of the candidate and a rival over the questions of a part, by measure; more is better. */
type Comparison = Readonly<Record<'withinAuc' | 'choice' | 'brier', (part: Questions) => readonly Pair[]>>

const NAMES = {
  withinAuc: 'within-question AUC',
  choice: 'accuracy of the choice',
  brier: 'calibration (Brier score, sign reversed)',
} as const satisfies Record<keyof Comparison, string>

function compareWith(
  questions: Questions,
  answers: readonly GateAnswer[],
  { order, probability }: JudgeRival,
): Comparison {
  const ordered = scoredBy(questions, answers, order)
  const estimated = scoredBy(questions, answers, probability)
  return {
    withinAuc: (part) => pairsOf(mixedOf(part), withinQuestionAuc, (one) => withinQuestionAuc(ordered(one))),
    choice: (part) => pairsOf(mixedOf(part), choiceAccuracy, (one) => choiceAccuracy(ordered(one))),
    brier: (part) =>
      pairsOf(
        part,
        (one) => -brierOf(one),
        (one) => -brierOf(estimated(one)),
      ),
  }
}

/** Returns what the candidate loses, or may lose, in words; null when it surely loses nothing. */
function lossOf(
  comparison: Comparison,
  questions: Questions,
  isFirst: boolean,
): { readonly measure: string; readonly shown: string } | null {
  for (const measure of ['withinAuc', 'choice', 'brier'] as const) {
    const pairs = comparison[measure](questions)
    const own = difference(pairs)
    const shown = showDifference(own)
    if (isDecisive(own) && own.high < 0) return { measure: NAMES[measure], shown: `${shown} is lower` }
    const told = lossToCallers(questions, comparison[measure])
    if (told !== null) return { measure: NAMES[measure], shown: told }
    if (measure === 'choice') continue
    const isOrderOfFirst = isFirst && measure === 'withinAuc'
    const margin = isOrderOfFirst ? FIRST_MARGIN : MARGIN
    const bound = isOrderOfFirst ? difference(pairs, GAIN_CRITICAL).low : own.low
    if (bound <= -margin) return { measure: NAMES[measure], shown: `${shown}: may lose ${margin} or more` }
  }
  return null
}

/** Returns the figures of P(correct): ordering and choice within questions, AUC over all, calibration. */
export function measureJudge(
  answers: readonly GateAnswer[],
  resampling: BootstrapOptions,
): Readonly<Record<string, Figure>> {
  return {
    ...measureChoice(answers),
    ...measureAnswers(answers, resampling),
    ...reported({ brier: difference(pairsOf(questionsOf(answers), brierOf)) }),
  }
}

function brierOf({ answers }: GateQuestion): number {
  return brierScore(answers)
}
