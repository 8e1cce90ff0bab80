/** @file Measures of one problem, and their means with standard errors over many problems. */

import { isRight, type Solved } from '../quality/measure.ts'
import { mean } from '../report/statistics.ts'

/** Measures of one problem. */
export interface Tally {
  readonly accuracy: number
  /** 1 if right without an optimiser step, else 0. */
  readonly firstPass: number
  /** Optimiser steps. */
  readonly steps: number
  /** New answers judged after the draft. */
  readonly evaluations: number
  /** Tokens decoded. */
  readonly generatedTokens: number
}

export type Measure = keyof Tally

const MEASURES = [
  'accuracy',
  'firstPass',
  'steps',
  'evaluations',
  'generatedTokens',
] as const satisfies readonly Measure[]

export function tallyOf(solved: Solved): Tally {
  const { iterations, evaluations, usage } = solved.solution
  const accuracy = Number(isRight(solved))
  return {
    accuracy,
    firstPass: iterations === 0 ? accuracy : 0,
    steps: iterations,
    evaluations,
    generatedTokens: usage.generatedTokens,
  }
}

/** A mean with its standard errors. */
export interface Figure {
  readonly value: number
  readonly n: number
  /** Standard error over the problems of all seeds, taken as one sample. */
  readonly overProblems: number
  /** Standard error over the means of the seeds; null for a single seed. */
  readonly overSeeds: number | null
}

/** Tallies of several seeds, by seed. */
export type BySeed = readonly (readonly Tally[])[]

export type Figures = Readonly<Record<Measure, Figure>>

export function figuresOf(bySeed: BySeed): Figures {
  const figure = (measure: Measure) => figureOf(bySeed.map((tallies) => tallies.map((each) => each[measure])))
  return Object.fromEntries(MEASURES.map((measure) => [measure, figure(measure)])) as unknown as Figures
}

/** `ours` minus `theirs`, problem by problem. */
export function differenceOf(ours: BySeed, theirs: BySeed, measure: Measure): Figure {
  return figureOf(
    ours.map((tallies, seed) => tallies.map((each, index) => each[measure] - theirs[seed]![index]![measure])),
  )
}

function figureOf(bySeed: readonly (readonly number[])[]): Figure {
  const all = bySeed.flat()
  const means = bySeed.map(mean)
  return {
    value: mean(all),
    n: all.length,
    overProblems: errorOfMean(all),
    overSeeds: means.length > 1 ? errorOfMean(means) : null,
  }
}

function errorOfMean(values: readonly number[]): number {
  const centre = mean(values)
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1)
  return Math.sqrt(variance / values.length)
}

/** The larger of the two standard errors, which a comparison has to beat. */
export function standardErrorOf({ overProblems, overSeeds }: Figure): number {
  return Math.max(overProblems, overSeeds ?? 0)
}

/** Formats a mean with, in brackets, its standard errors over problems and over seeds. */
export function show({ value, overProblems, overSeeds }: Figure): string {
  const digits = Math.abs(value) >= 10 ? 1 : 3
  const errors = [overProblems, ...(overSeeds === null ? [] : [overSeeds])]
  return `${value.toFixed(digits)} (${errors.map((error) => error.toFixed(digits)).join(', ')})`
}

export const FIGURE_HEADER = ['accuracy', 'first pass', 'steps', 'evaluations', 'generated tokens']

export function figureCells(figures: Figures): string[] {
  return MEASURES.map((measure) => show(figures[measure]))
}
