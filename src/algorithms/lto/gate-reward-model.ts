/** @file Gate of the latent reward model: decides whether a newly trained one is promoted. */

import type { BootstrapOptions } from '../training/bootstrap.ts'
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
import {
  choiceAccuracy,
  majorityAccuracy,
  type QuestionAnswers,
  withinQuestionAuc,
} from './choice-metrics.ts'
import { accuracy, auc, ece, f1, pairedAucDifference, type ScoredAnswer, withScores } from './metrics.ts'

/** One held-out answer, with everything that the gate compares. */
export interface GateAnswer extends ScoredAnswer {
  /** Cluster of near-duplicates that the question belongs to; the question itself unless given. */
  readonly cluster?: string
  /** Tenant that asked, and that gave the label. */
  readonly tenantId: string
  /** Episode of the answer: only answers of one episode are ever compared with each other. */
  readonly episodeId: string
  /** Final answer, normalised; null when there is none. */
  readonly answer: string | null
  /** Verifier's reward of the answer, in [-1, 0]; null when it was not asked. */
  readonly verifier: number | null
  /** Whether the label was derived from the samples themselves, by majority. */
  readonly byMajority: boolean
}

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

const CRITICAL = criticalValue(ONLY_LOOK)
const GAIN_CRITICAL = gainCriticalValue(ONLY_LOOK)

/**
 * Decides on a candidate by what it is used for: choosing between the answers of one question. All
 * comparisons are over mixed questions, those with right and wrong answers. It is promoted when
 * - it orders answers: its within-question AUC is surely above .5, and its best answer is surely right more
 *   often than a random one. A score that knows only how hard a question is fails both;
 * - it loses nothing: the interval of the difference in within-question AUC to the active version and to the
 *   anchor lies above -.01, and its choice is not measurably worse than the verifier's or the majority's;
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
  const questions = mixedQuestions(answers)
  const choice = compareChoice(questions)
  const metrics: Record<string, Figure> = {
    ...measureAnswers(answers, { seed, resamples }),
    ...reported(choice),
  }
  const baseline: Record<string, Figure> = {}
  const rivalOf = (name: string, scores: readonly number[]) => {
    const rival = mixedQuestions(withScores(answers, scores) as readonly GateAnswer[])
    const place = new Map(questions.map((one, index) => [one, rival[index]!]))
    const inAuc = (part: Questions) => aucAgainst(part, (one) => withinQuestionAuc(place.get(one)!))
    const inChoice = (part: Questions) => choiceAgainst(part, (one) => choiceAccuracy(place.get(one)!))
    const differences = {
      [`${name}withinAuc.difference`]: against(inAuc(questions)),
      [`${name}choice.difference`]: against(inChoice(questions)),
    }
    Object.assign(metrics, reported(differences))
    return { rival, inAuc, inChoice }
  }
  const fromActive = active === null ? null : rivalOf('', active)
  const fromAnchor = anchor === null ? null : rivalOf('anchor.', anchor)
  if (active !== null && fromActive !== null) {
    metrics['auc.difference'] = pairedAucDifference(answers, active, { seed, resamples })
    Object.assign(baseline, measureAnswers(withScores(answers, active), { seed, resamples }))
    baseline['withinAuc'] = toFigure(against(aucAgainst(fromActive.rival, () => 0)))
    baseline['choice'] = toFigure(against(choiceAgainst(fromActive.rival, () => 0)))
  }

  const best = fromAnchor ?? fromActive
  const rises = (pairs: readonly Pair[]) => against(pairs, GAIN_CRITICAL).low > 0
  const isAnchor = best === null || rises(best.inAuc(questions)) || rises(best.inChoice(questions))
  const verdict = (promoted: boolean, reason: string): GateVerdict => ({
    promoted,
    isAnchor,
    reason,
    metrics,
    baseline,
  })
  const ordering = choice.withinAuc
  if (!isDecisive(ordering)) {
    return verdict(
      false,
      `too few questions with right and wrong answers: expected ${MIN_CLUSTERS}, got ${ordering.clusters}`,
    )
  }
  if (ordering.low <= 0.5) {
    return verdict(false, `within-question AUC ${showLevel(ordering)} is not surely above .5`)
  }
  if (choice['choice.overRandom'].low <= 0) {
    const shown = showDifference(choice['choice.overRandom'])
    return verdict(false, `its choice over a random one ${shown} is not surely better`)
  }
  for (const [name, difference] of [
    ["the verifier's", choice['choice.overVerifier']],
    ["the majority's", choice['choice.overMajority']],
  ] as const) {
    if (isDecisive(difference) && difference.high < 0) {
      return verdict(false, `its choice over ${name} ${showDifference(difference)} is worse`)
    }
  }
  for (const [name, rival] of [
    ['active one', fromActive],
    ['anchor', fromAnchor],
  ] as const) {
    if (rival === null) continue
    const difference = against(rival.inAuc(questions))
    if (difference.low <= -AUC_MARGIN) {
      const shown = showDifference(difference)
      return verdict(
        false,
        `within-question AUC against the ${name} ${shown}: may lose ${AUC_MARGIN} or more`,
      )
    }
  }
  if (fromActive === null) {
    return verdict(
      true,
      `within-question AUC ${showLevel(ordering)} is above .5, and its choice beats a random one`,
    )
  }
  if (replacesStale) return verdict(true, 'replaces a version trained on erased episodes; nothing lost')
  const gains = [
    ['within-question AUC', fromActive.inAuc],
    ['accuracy of the choice', fromActive.inChoice],
  ] as const
  for (const [name, pairsOf] of gains) {
    const parts = [questions, ...withoutEachTenant(questions)]
    if (parts.every((part) => rises(pairsOf(part)))) {
      return verdict(true, `${name} rises: ${showDifference(against(pairsOf(questions)))}`)
    }
  }
  return verdict(false, 'no measurable improvement over the active one')
}

/**
 * Returns the figures of a score's choice between the answers of one question, over mixed questions: the
 * measures by which the gate decides, without a decision. A figure without a question is left out.
 */
export function measureChoice(answers: readonly GateAnswer[]): Readonly<Record<string, Figure>> {
  return reported(compareChoice(mixedQuestions(answers)))
}

/** Returns AUC over all answers, F1, accuracy and ECE of scored answers. */
export function measureAnswers(
  answers: readonly ScoredAnswer[],
  options: BootstrapOptions,
): Readonly<Record<string, Figure>> {
  return {
    auc: auc(answers, options),
    f1: f1(answers, options),
    accuracy: accuracy(answers, options),
    ece: ece(answers, options),
  }
}

interface MixedQuestion extends QuestionAnswers {
  readonly cluster: string
  readonly tenantId: string
  readonly answers: readonly GateAnswer[]
}

type Questions = readonly MixedQuestion[]

/** Groups answers by episode, and keeps those with right and wrong answers; the order depends on labels alone. */
export function mixedQuestions(answers: readonly GateAnswer[]): Questions {
  return [...Map.groupBy(answers, ({ tenantId, episodeId }) => `${tenantId} ${episodeId}`).values()]
    .filter((own) => own.some(({ correct }) => correct) && own.some(({ correct }) => !correct))
    .map((own) => {
      const { cluster, question, tenantId } = own[0]!
      return { cluster: cluster ?? question, tenantId, answers: own }
    })
}

function compareChoice(questions: Questions) {
  const judged = questions.filter((one) => one.answers.every(({ verifier }) => verifier !== null))
  // A majority is always right by its own labels.
  const independent = questions.filter((one) => one.answers.every(({ byMajority }) => !byMajority))
  return {
    withinAuc: against(aucAgainst(questions, () => 0)),
    'choice.overRandom': against(choiceAgainst(questions, rightShare)),
    choice: against(choiceAgainst(questions, () => 0)),
    'choice.overVerifier': against(choiceAgainst(judged, choiceOfVerifier)),
    'choice.overMajority': against(choiceAgainst(independent, majorityAccuracy)),
  }
}

function against(pairs: readonly Pair[], critical = CRITICAL): Difference {
  return meanDifference(pairs, critical)
}

function reported(differences: Readonly<Record<string, Difference>>): Readonly<Record<string, Figure>> {
  const measured = Object.entries(differences).filter(([, { n }]) => n > 0)
  return Object.fromEntries(measured.map(([name, difference]) => [name, toFigure(difference)]))
}

export function aucAgainst(questions: Questions, rival: (one: MixedQuestion) => number): readonly Pair[] {
  return questions.map((one) => ({ cluster: one.cluster, mine: withinQuestionAuc(one), theirs: rival(one) }))
}

function choiceAgainst(questions: Questions, rival: (one: MixedQuestion) => number): readonly Pair[] {
  return questions.map((one) => ({ cluster: one.cluster, mine: choiceAccuracy(one), theirs: rival(one) }))
}

function rightShare({ answers }: MixedQuestion): number {
  return answers.filter(({ correct }) => correct).length / answers.length
}

function choiceOfVerifier({ answers }: MixedQuestion): number {
  return choiceAccuracy({ answers: answers.map((one) => ({ ...one, score: one.verifier ?? -1 })) })
}

/** Returns the questions, or answers, without those of each tenant in turn; nothing when all are of one tenant. */
export function withoutEachTenant<Item extends { readonly tenantId: string }>(
  questions: readonly Item[],
): readonly (readonly Item[])[] {
  const tenants = new Set(questions.map(({ tenantId }) => tenantId))
  if (tenants.size < 2) return []
  return [...tenants].map((tenant) => questions.filter(({ tenantId }) => tenantId !== tenant))
}

function showLevel({ value, low, high, n }: Difference): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)}, n = ${n})`
}
