/** @file Gate of the fused judge: decides whether a newly fitted one is promoted. */

import { withinQuestionAuc } from '../lto/choice-metrics.ts'
import {
  aucAgainst,
  type GateAnswer,
  measureAnswers,
  measureChoice,
  mixedQuestions,
  withoutEachTenant,
} from '../lto/gate-reward-model.ts'
import { withScores } from '../lto/metrics.ts'
import {
  criticalValue,
  type Difference,
  gainCriticalValue,
  isDecisive,
  MIN_CLUSTERS,
  meanDifference,
  ONLY_LOOK,
  type Pair,
  showDifference,
  toFigure,
} from '../training/non-inferiority.ts'
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
  /** Whether the active version must be replaced, because it was trained on erased episodes. */
  readonly replacesStale: boolean
  /** Seed of the resampling. */
  readonly seed: number
}

/** Loss that the intervals must exclude, of within-question AUC and of the Brier score. */
const MARGIN = 0.01
/**
 * The same of the within-question AUC against the weighting by hand, which is not measured on the model: the first version makes
 * P(correct) mean something. Losses of later versions could add up.
 */
const MARGIN_BY_HAND = 0.1
const RESAMPLES = 1_000

const CRITICAL = criticalValue(ONLY_LOOK)
const GAIN_CRITICAL = gainCriticalValue(ONLY_LOOK)

/**
 * Decides on a candidate by its two uses: it orders the answers of one question (within-question AUC, over questions with right
 * and wrong answers), and its P(correct) says when to stop (Brier score, the mean squared error of P(correct), over all
 * questions). It is promoted when
 * - its within-question AUC is surely above .5;
 * - it loses neither: each interval of the difference to the active version and to the anchor excludes a loss of .01 (of .1 in
 *   the within-question AUC of the weighting by hand), and its within-question AUC is not measurably lower;
 * - it gains one of them measurably over the active version, also without the answers of any single tenant. (A stale active
 *   version must be replaced, so no gain over it is asked for.)
 *
 * Fewer than 30 clusters decide nothing, so the candidate is rejected. AUC over all answers, F1, accuracy, calibration error and
 * the accuracy of the choice are reported only.
 *
 * @throws ServiceError INTERNAL when a score is not a number, or the lists differ in length.
 */
export function gateJudge({
  answers,
  active,
  hasActive,
  anchor,
  replacesStale,
  seed,
}: JudgeTrial): GateVerdict {
  const beside = (rival: JudgeRival) => compare(answers, rival)
  const own = against(aucAgainst(mixedQuestions(answers), () => 0))
  const fromActive = beside(active)
  const fromAnchor = anchor === null ? null : beside(anchor)
  const metrics: Record<string, Figure> = { ...measureJudge(answers, seed) }
  const report = (prefix: string, { auc, brier }: Comparison) => {
    if (auc.length > 0) metrics[`${prefix}withinAuc.difference`] = toFigure(against(auc))
    if (brier.length > 0) metrics[`${prefix}brier.difference`] = toFigure(against(brier))
  }
  report('', fromActive)
  if (fromAnchor !== null) report('anchor.', fromAnchor)
  const baseline = {
    ...measureJudge(withScores(answers, active.probability) as readonly GateAnswer[], seed),
    withinAuc: toFigure(
      against(
        aucAgainst(mixedQuestions(withScores(answers, active.order) as readonly GateAnswer[]), () => 0),
      ),
    ),
  }
  const best = fromAnchor ?? fromActive
  const isAnchor = !hasActive || gains(best.auc) || gains(best.brier)
  const verdict = (promoted: boolean, reason: string): GateVerdict => ({
    promoted,
    isAnchor,
    reason,
    metrics,
    baseline,
  })
  if (!isDecisive(own)) {
    return verdict(
      false,
      `too few questions with right and wrong answers: expected ${MIN_CLUSTERS}, got ${own.clusters}`,
    )
  }
  if (own.low <= 0.5) {
    return verdict(false, `within-question AUC ${showLevel(own)} is not surely above .5`)
  }
  const name = hasActive ? 'the active one' : 'the weighting of the profile'
  for (const [rival, comparison] of [
    [name, fromActive],
    ['the anchor', fromAnchor],
  ] as const) {
    for (const measure of ['auc', 'brier'] as const) {
      const difference = comparison === null ? null : against(comparison[measure])
      const margin = !hasActive && measure === 'auc' ? MARGIN_BY_HAND : MARGIN
      if (difference === null || (difference.low > -margin && difference.high >= 0)) continue
      const shown = `${NAMES[measure]} against ${rival} ${showDifference(difference)}`
      const isLower = difference.high < 0
      return verdict(false, isLower ? `${shown} is lower` : `${shown}: may lose ${margin} or more`)
    }
  }
  if (replacesStale) return verdict(true, 'replaces a version trained on erased episodes; nothing lost')
  const parts = [answers, ...withoutEachTenant(answers)].map((part) => new Set(part))
  for (const measure of ['auc', 'brier'] as const) {
    const isGained = parts.every((part) => gains(compare(answers, active, part)[measure]))
    if (!isGained) continue
    const shown = showDifference(against(fromActive[measure]))
    return verdict(true, `${NAMES[measure]} improves over ${name}: ${shown}`)
  }
  return verdict(false, `no measurable improvement over ${name}`)
}

/** Names of the measures; both rise when a judge improves. */
const NAMES = { auc: 'within-question AUC', brier: 'calibration (Brier score, sign reversed)' } as const

/** Returns the figures of P(correct): ordering and choice within questions, AUC over all, calibration. */
export function measureJudge(answers: readonly GateAnswer[], seed: number): Readonly<Record<string, Figure>> {
  return {
    ...measureChoice(answers),
    ...measureAnswers(answers, { seed, resamples: RESAMPLES }),
    brier: toFigure(
      against(
        byQuestion(answers).map((own) => ({
          cluster: clusterOf(own[0]!),
          mine: brierOf(
            own,
            own.map(({ score }) => score),
          ),
          theirs: 0,
        })),
      ),
    ),
  }
}

/** Pairs of the candidate and a rival; of the Brier score with its sign reversed, so that more is better. */
interface Comparison {
  readonly auc: readonly Pair[]
  readonly brier: readonly Pair[]
}

function compare(
  answers: readonly GateAnswer[],
  { order, probability }: JudgeRival,
  part?: ReadonlySet<GateAnswer>,
): Comparison {
  const ordered = withScores(answers, order) as readonly GateAnswer[]
  const place = new Map(answers.map((answer, index) => [answer, index]))
  const kept = part === undefined ? answers : answers.filter((answer) => part.has(answer))
  return {
    auc: aucAgainst(mixedQuestions(kept), ({ answers: own }) =>
      withinQuestionAuc({ answers: own.map((answer) => ordered[place.get(answer)!]!) }),
    ),
    brier: byQuestion(kept).map((own) => ({
      cluster: clusterOf(own[0]!),
      mine: -brierOf(
        own,
        own.map(({ score }) => score),
      ),
      theirs: -brierOf(
        own,
        own.map((answer) => probability[place.get(answer)!]!),
      ),
    })),
  }
}

function byQuestion(answers: readonly GateAnswer[]): readonly (readonly GateAnswer[])[] {
  return [...Map.groupBy(answers, ({ tenantId, episodeId }) => `${tenantId} ${episodeId}`).values()]
}

function clusterOf({ cluster, question }: GateAnswer): string {
  return cluster ?? question
}

function brierOf(answers: readonly GateAnswer[], probabilities: readonly number[]): number {
  const errors = answers.map(({ correct }, index) => (probabilities[index]! - Number(correct)) ** 2)
  return errors.reduce((sum, error) => sum + error, 0) / errors.length
}

function against(pairs: readonly Pair[], critical = CRITICAL): Difference {
  return meanDifference(pairs, critical)
}

function gains(pairs: readonly Pair[]): boolean {
  return against(pairs, GAIN_CRITICAL).low > 0
}

function showLevel({ value, low, high, n }: Difference): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)}, n = ${n})`
}
