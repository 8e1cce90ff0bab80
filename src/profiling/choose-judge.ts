/**
 * @file Chooses the judge that orders right and wrong drafts best, and the reward above which its verdict may end a
 * search.
 */

import { auc, type Figure, pairedAucDifference } from '#algorithms'
import type { ModelProfile } from '#engine'
import { wilson } from '#evaluation'
import type { DraftRecord } from './drafts.ts'
import { WIDTH_OF_INTERVAL } from './is-better.ts'

interface JudgeRow {
  readonly name: string
  /** AUC over whole drafts; NaN unless there are right and wrong ones. */
  readonly auc: Figure
  /** Mean P(correct) of right and of wrong drafts; NaN of none. */
  readonly ofRight: number
  readonly ofWrong: number
}

/** Drafts that pass one threshold. */
export interface ThresholdRow {
  readonly stopReward: number
  readonly passed: number
  readonly right: number
  readonly precision: number
  readonly low: number
  readonly high: number
}

export interface JudgeChoice {
  readonly rows: readonly JudgeRow[]
  readonly chosen: number
  /** Thresholds, from the lowest on. */
  readonly thresholds: readonly ThresholdRow[]
  /** The lowest threshold that is precise enough; null: none is. */
  readonly stop: ThresholdRow | null
  /** Precision where each half of the drafts is passed by the threshold of the other half; null: neither has one. */
  readonly crossed: ThresholdRow | null
}

/** Fewer whole drafts choose no other judge. */
const MIN_DRAFTS = 30
/** Fewer passed drafts show no precision. */
const MIN_PASSED = 10
/** P(correct) that an answer needs to end a search, whatever its reward. */
const MIN_CORRECTNESS = 0.5
/** Lower bound on the interval of the precision, below the precision that is asked for. */
const TOLERANCE = 0.1

/**
 * Chooses by AUC, then the threshold of the judge. The first judge is the profile's own: another replaces it if its AUC
 * is higher by more than one standard error of the paired difference, on at least 30 whole drafts.
 */
export function chooseJudge(
  names: readonly string[],
  drafts: readonly DraftRecord[],
  weights: ModelProfile['defaults']['rewardWeights'],
  precision: number,
): JudgeChoice {
  const whole = drafts.filter(({ isWhole }) => isWhole)
  const rows = names.map((name, judge) => {
    const scored = whole.map(({ right, verdicts }, index) => ({
      question: String(index),
      score: verdicts[judge]!,
      correct: right,
    }))
    const mean = (correct: boolean) => {
      const own = scored.filter((each) => each.correct === correct)
      return own.reduce((sum, { score }) => sum + score, 0) / own.length
    }
    return { name, auc: auc(scored), ofRight: mean(true), ofWrong: mean(false) }
  })
  const chosen = bestJudge(whole, rows)
  const judged = drafts.map((draft) => judgedDraft(draft, chosen, weights))
  const halves = [0, 1].map((half) => judged.filter((_, index) => index % 2 === half))
  return { rows, chosen, ...thresholdsOf(judged, precision), crossed: crossedPrecision(halves, precision) }
}

function bestJudge(whole: readonly DraftRecord[], rows: readonly JudgeRow[]): number {
  const aucs = rows.map((row) => row.auc.value || 0)
  const best = aucs.indexOf(Math.max(...aucs))
  if (best === 0 || whole.length < MIN_DRAFTS) return 0
  const { value, low, high } = pairedAucDifference(
    whole.map(({ right, verdicts }, index) => ({
      question: String(index),
      score: verdicts[best]!,
      correct: right,
    })),
    whole.map(({ verdicts }) => verdicts[0]!),
  )
  return low !== undefined && high !== undefined && value > (high - low) / WIDTH_OF_INTERVAL ? best : 0
}

interface JudgedDraft {
  readonly right: boolean
  readonly reward: number
  readonly correctness: number
}

/** The reward of a draft under one judge, as `createRewardJudge` composes it. */
function judgedDraft(
  { right, verdicts, verifier: several, format }: DraftRecord,
  judge: number,
  { verifier = 1, format: formatWeight = 2 }: ModelProfile['defaults']['rewardWeights'],
): JudgedDraft {
  const correctness = verdicts[judge]!
  const weight = verifier + formatWeight || 1
  const judged = several ?? correctness - 1
  return { right, correctness, reward: (verifier * judged + formatWeight * format) / weight }
}

/** Thresholds just below the reward of each draft that may pass, halfway to the next draft: rewards have noise. */
function thresholdsOf(drafts: readonly JudgedDraft[], precision: number) {
  const mayPass = new Set(drafts.filter(({ correctness }) => correctness >= MIN_CORRECTNESS))
  const rewards = [...new Set([...mayPass].map(({ reward }) => reward))].sort((a, b) => a - b)
  const thresholds = rewards.map((reward) => {
    const below = Math.max(...drafts.map((draft) => draft.reward).filter((other) => other < reward))
    const stopReward = Math.max(-1, Number.isFinite(below) ? (below + reward) / 2 : reward - 1e-6)
    return rowOf(stopReward, rightOfPassed(drafts, stopReward))
  })
  const isEnough = (row: ThresholdRow) =>
    row.passed >= MIN_PASSED && row.precision >= precision && row.low >= precision - TOLERANCE
  return { thresholds, stop: thresholds.find(isEnough) ?? null }
}

function rightOfPassed(drafts: readonly JudgedDraft[], stopReward: number): boolean[] {
  return drafts
    .filter(({ reward, correctness }) => reward > stopReward && correctness >= MIN_CORRECTNESS)
    .map(({ right }) => right)
}

function rowOf(stopReward: number, passed: readonly boolean[]): ThresholdRow {
  const right = passed.filter(Boolean).length
  const precision = passed.length === 0 ? 0 : right / passed.length
  return { stopReward, passed: passed.length, right, precision, ...wilson(precision, passed.length) }
}

function crossedPrecision(
  [first, second]: readonly (readonly JudgedDraft[])[],
  precision: number,
): ThresholdRow | null {
  const pairs = [
    [first!, second!],
    [second!, first!],
  ] as const
  const passed = pairs.flatMap(([chosenOn, measuredOn]) => {
    const { stop } = thresholdsOf(chosenOn, precision)
    return stop === null ? [] : rightOfPassed(measuredOn, stop.stopReward)
  })
  return passed.length === 0 ? null : rowOf(Number.NaN, passed)
}
