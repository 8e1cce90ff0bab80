/** @file Figures of one arm, and its difference to another, with 95 % intervals over problems. */

import { bootstrapByQuestion, type Figure, wilsonInterval } from '#algorithms'
import type { AnswerRecord } from './records.ts'

/** 97.5 % quantile of the standard normal distribution. */
const Z = 1.959964

/** Wilson's score interval of a proportion, 95 %; `proportion` of `n` independent trials. Everything is possible after none. */
export function wilson(proportion: number, n: number): { readonly low: number; readonly high: number } {
  return n === 0 ? { low: 0, high: 1 } : wilsonInterval(proportion, n, Z)
}

export interface ArmFigures {
  /**
   * Mean over problems of the share of right answers; `n` problems. Wilson's interval counts every problem once,
   * however many seeds answered it: answers to one problem are not independent.
   */
  readonly accuracy: Required<Figure>
  readonly answers: number
  /** Standard deviation of the accuracies of the seeds, over problems that all of them answered; null for one seed. */
  readonly sdOverSeeds: number | null
  /** Means over answers. */
  readonly promptTokens: number
  readonly generatedTokens: number
  readonly judgedTokens: number
  /** Mean seconds of one request, beside the requests of the time. */
  readonly seconds: number
  /** Tokens decoded per second in which the arm had a request in progress. */
  readonly tokensPerSecond: number
  /** Share of answers that the limit of tokens or of time ended. */
  readonly cut: number
  /** Number of problems that could not be asked, which count as wrong. */
  readonly errors: number
}

/** Figures of the answers of one arm; null without answers. */
export function armFigures(records: readonly AnswerRecord[]): ArmFigures | null {
  if (records.length === 0) return null
  const shares = [...sharesByProblem(records).values()]
  const value = mean(shares)
  const of = (measure: (record: AnswerRecord) => number) => mean(records.map(measure))
  return {
    accuracy: { value, n: shares.length, ...wilson(value, shares.length) },
    answers: records.length,
    sdOverSeeds: sdOverSeeds(records),
    promptTokens: of(({ promptTokens }) => promptTokens),
    generatedTokens: of(({ generatedTokens }) => generatedTokens),
    judgedTokens: of(({ judgedTokens }) => judgedTokens),
    seconds: of(({ seconds }) => seconds),
    tokensPerSecond: (of(({ generatedTokens }) => generatedTokens) * records.length) / busySeconds(records),
    cut: of(({ stopped }) => Number(stopped === 'maxMs' || stopped === 'maxNewTokens')),
    errors: records.filter(({ error }) => error !== null).length,
  }
}

/**
 * Mean difference of accuracy, problem by problem and pooled over seeds, on the problems that both arms answered; its
 * interval by bootstrap over problems, for at least ten of them.
 */
export function pairedDifference(
  ours: readonly AnswerRecord[],
  theirs: readonly AnswerRecord[],
): Figure | null {
  const base = sharesByProblem(theirs)
  const shared = [...sharesByProblem(ours)].flatMap(([problem, share]) => {
    const other = base.get(problem)
    return other === undefined ? [] : [{ problem, difference: share - other }]
  })
  if (shared.length === 0) return null
  return bootstrapByQuestion(
    shared.map(({ problem }) => problem),
    (weights) => {
      const sum = shared.reduce(
        (total, { difference }, index) => total + difference * (weights[index] ?? 0),
        0,
      )
      return sum / shared.length
    },
  )
}

function sharesByProblem(records: readonly AnswerRecord[]): Map<string, number> {
  const groups = Map.groupBy(records, ({ problem }) => problem)
  return new Map([...groups].map(([problem, own]) => [problem, mean(own.map(({ right }) => Number(right)))]))
}

function sdOverSeeds(records: readonly AnswerRecord[]): number | null {
  const runs = [...Map.groupBy(records, ({ run }) => run).values()]
  if (runs.length < 2) return null
  const answered = Map.groupBy(records, ({ problem }) => problem)
  const everywhere = (problem: string) => answered.get(problem)?.length === runs.length
  const accuracies = runs.map((own) =>
    mean(own.filter(({ problem }) => everywhere(problem)).map(({ right }) => Number(right))),
  )
  const centre = mean(accuracies)
  const squares = accuracies.reduce((sum, accuracy) => sum + (accuracy - centre) ** 2, 0)
  const sd = Math.sqrt(squares / (runs.length - 1))
  return Number.isNaN(sd) ? null : sd
}

/** Length of the union of the times of all requests. */
function busySeconds(records: readonly AnswerRecord[]): number {
  let busy = 0
  let until = Number.NEGATIVE_INFINITY
  for (const { at, seconds } of records.toSorted((one, other) => one.at - other.at)) {
    const end = at / 1000 + seconds
    busy += Math.max(0, end - Math.max(until, at / 1000))
    until = Math.max(until, end)
  }
  return busy
}

/** Mean; NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length
}
