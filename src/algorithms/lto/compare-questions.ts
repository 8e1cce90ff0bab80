/**
 * @file Paired comparison of scores by their use, choosing between the answers of one question: what the gates of the
 * latent reward model and of the fused judge have in common.
 */

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
import type { Figure } from '../training/training-result.ts'
import {
  choiceAccuracy,
  majorityAccuracy,
  type QuestionAnswers,
  withinQuestionAuc,
} from './choice-metrics.ts'
import { accuracy, auc, ece, f1, type ScoredAnswer, withScores } from './metrics.ts'

/** One held-out answer, with everything that a gate compares. */
export interface GateAnswer extends ScoredAnswer {
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

/** Answers of one episode. */
export interface GateQuestion extends QuestionAnswers {
  readonly cluster: string
  readonly tenantId: string
  readonly answers: readonly GateAnswer[]
}

export type Questions = readonly GateQuestion[]

/** Standard errors of an interval at a one-sided level of .025, and of one that shows a gain, at .05. */
export const CRITICAL = criticalValue(ONLY_LOOK)
export const GAIN_CRITICAL = gainCriticalValue(ONLY_LOOK)

/** Groups answers by episode; the order depends on the answers, not on their scores. */
export function questionsOf(answers: readonly GateAnswer[]): Questions {
  return [...Map.groupBy(answers, ({ tenantId, episodeId }) => `${tenantId} ${episodeId}`).values()].map(
    (own) => {
      const { cluster, question, tenantId } = own[0]!
      return { cluster: cluster ?? question, tenantId, answers: own }
    },
  )
}

/** Returns the questions with right and wrong answers. */
export function mixedOf(questions: Questions): Questions {
  return questions.filter(
    ({ answers }) => answers.some(({ correct }) => correct) && answers.some(({ correct }) => !correct),
  )
}

/**
 * Returns a function from a question to the same question with the scores of a rival.
 *
 * @param questions `questionsOf(answers)`
 * @param scores scores of the rival, in the order of `answers`
 * @throws ServiceError INTERNAL when the lists differ in length
 */
export function scoredBy(
  questions: Questions,
  answers: readonly GateAnswer[],
  scores: readonly number[],
): (question: GateQuestion) => GateQuestion {
  const rival = questionsOf(withScores(answers, scores))
  const place = new Map(questions.map((question, index) => [question, rival[index]!]))
  return (question) => place.get(question)!
}

/** Returns a measure of each question beside that of a rival. */
export function pairsOf(
  questions: Questions,
  measure: (question: GateQuestion) => number,
  theirs: (question: GateQuestion) => number = () => 0,
): readonly Pair[] {
  return questions.map((one) => ({ cluster: one.cluster, mine: measure(one), theirs: theirs(one) }))
}

export function difference(pairs: readonly Pair[], critical = CRITICAL): Difference {
  return meanDifference(pairs, critical)
}

/** Returns whether a measure rises measurably. */
export function rises(pairs: readonly Pair[]): boolean {
  return difference(pairs, GAIN_CRITICAL).low > 0
}

/** Returns the differences as they are reported; one without a question is left out. */
export function reported(
  differences: Readonly<Record<string, Difference>>,
): Readonly<Record<string, Figure>> {
  const measured = Object.entries(differences).filter(([, { n }]) => n > 0)
  return Object.fromEntries(measured.map(([name, one]) => [name, toFigure(one)]))
}

/** Compares a score's choice between the answers of one question with simpler ones, over mixed questions. */
export function compareChoice(mixed: Questions) {
  const judged = mixed.filter((one) => one.answers.every(({ verifier }) => verifier !== null))
  const independent = labelledByCallers(mixed)
  const choice = (questions: Questions, theirs?: (question: GateQuestion) => number) =>
    difference(pairsOf(questions, choiceAccuracy, theirs))
  return {
    withinAuc: difference(pairsOf(mixed, withinQuestionAuc)),
    'choice.overRandom': choice(mixed, rightShare),
    choice: choice(mixed),
    'choice.overVerifier': choice(judged, choiceOfVerifier),
    'choice.overMajority': choice(independent, majorityAccuracy),
  }
}

/** Returns the questions without labels by majority, which is always right by its own labels. */
function labelledByCallers(questions: Questions): Questions {
  return questions.filter(({ answers }) => answers.every(({ byMajority }) => !byMajority))
}

/**
 * Returns, in words, that a measure is lower by the labels of callers alone, which labels by majority, however many, do not
 * outvote; null when it is not, or these questions are too few.
 *
 * @param inMeasure returns the pairs of a part of the questions
 */
export function lossToCallers(
  questions: Questions,
  inMeasure: (part: Questions) => readonly Pair[],
): string | null {
  const own = difference(inMeasure(labelledByCallers(questions)))
  return isDecisive(own) && own.high < 0
    ? `by the labels of callers alone ${showDifference(own)} is lower`
    : null
}

function rightShare({ answers }: GateQuestion): number {
  return answers.filter(({ correct }) => correct).length / answers.length
}

function choiceOfVerifier({ answers }: GateQuestion): number {
  return choiceAccuracy({ answers: answers.map((one) => ({ ...one, score: one.verifier ?? -1 })) })
}

/** Returns why a score does not surely order the answers of a question, in words; null when it does. */
export function reasonAgainstOrder(withinAuc: Difference): string | null {
  if (!isDecisive(withinAuc)) {
    return `too few questions with right and wrong answers: expected ${MIN_CLUSTERS}, got ${withinAuc.clusters}`
  }
  return withinAuc.low > 0.5 ? null : `within-question AUC ${showLevel(withinAuc)} is not surely above .5`
}

/** Shows the value of a measure in a verdict's reason. */
export function showLevel({ value, low, high, n }: Difference): string {
  return `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)}, n = ${n})`
}

/** Returns the questions without those of each tenant in turn; nothing when all are of one tenant. */
export function withoutEachTenant(questions: Questions): readonly Questions[] {
  const tenants = new Set(questions.map(({ tenantId }) => tenantId))
  if (tenants.size < 2) return []
  return [...tenants].map((tenant) => questions.filter(({ tenantId }) => tenantId !== tenant))
}

/**
 * Returns the figures of a score's choice between the answers of one question, over mixed questions: the
 * measures by which the gates decide, without a decision. A figure without a question is left out.
 */
export function measureChoice(answers: readonly GateAnswer[]): Readonly<Record<string, Figure>> {
  return reported(compareChoice(mixedOf(questionsOf(answers))))
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
