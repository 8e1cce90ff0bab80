/** @file Accuracy of each selection rule on the same samples, as tables, and its curves over N and beta. */

import { auc, ece, type ScoredAnswer } from '#algorithms'
import type { Plot } from '#evaluation'
import { printTable } from '../../report/table.ts'
import { type Sampled, SCORERS, type ScoredSample, type Scorer } from './draws.ts'
import * as rules from './rules.ts'

export interface SelectionOptions {
  readonly count: number
  readonly beta: number
  /** 1 or 0 per problem: whether the greedy answer, and the answer of `lto` through the solver, is right. */
  readonly greedy: rules.Outcomes
  readonly solved: rules.Outcomes
}

export function measureSelection(sampled: readonly Sampled<ScoredSample>[], options: SelectionOptions) {
  const { count, beta, greedy, solved } = options
  const of = (rule: rules.Rule) => rules.outcomes(sampled, rule, count)
  const majority = of(rules.majority)
  const weighted = of(rules.weighted('lrm'))
  const byVerifier = of(rules.best('verifier'))
  const arms: Readonly<Record<string, rules.Outcomes>> = {
    greedy,
    'one sample': of(rules.first),
    [`majority of ${count}`]: majority,
    'LRM-weighted majority': weighted,
    [`**lto**, beta ${beta}, through the solver`]: solved,
    'lto, over all its draws': of(rules.lto('lrm', beta)),
    'best by LRM': of(rules.best('lrm')),
    'best by verifier': byVerifier,
    'verifier-weighted majority': of(rules.weighted('verifier')),
    'best by CoE-R': of(rules.best('CoE-R')),
    'best by CoE-C': of(rules.best('CoE-C')),
    [`oracle: pass@${count}`]: of(rules.oracle),
  }
  const differences = {
    'lto - greedy': rules.difference(solved, greedy),
    'lto - majority': rules.difference(solved, majority),
    'LRM-weighted majority - majority': rules.difference(weighted, majority),
    // The verifier judges the samples of every strategy, so these cost the same tokens.
    'lto - best by verifier': rules.difference(solved, byVerifier),
    'LRM-weighted majority - best by verifier': rules.difference(weighted, byVerifier),
  }
  const estimates = Object.fromEntries(
    Object.entries(arms).map(([name, values]) => [name, rules.estimate(values)]),
  )
  const rows = (of: Readonly<Record<string, rules.Estimate>>) =>
    Object.entries(of).map(([name, { value, standardError }]) => [name, value, standardError])
  printTable(`Selection among ${count} samples`, ['arm', 'accuracy', 'SE'], rows(estimates))
  printTable('Differences, problem by problem', ['difference', 'accuracy', 'SE'], rows(differences))
  return { arms: estimates, differences }
}

/** AUC and ECE of each scorer on the samples of all problems, with 95 % intervals over problems. */
export function measureScorers(sampled: readonly Sampled<ScoredSample>[], count: number) {
  const scored = (scorer: Scorer): ScoredAnswer[] =>
    sampled.flatMap(({ problem, samples }) =>
      samples
        .slice(0, count)
        .map(({ scores, correct }) => ({ question: problem.question, score: scores[scorer], correct })),
    )
  const figures = SCORERS.map((scorer) => {
    const answers = scored(scorer)
    const isProbability = scorer === 'lrm' || scorer === 'verifier'
    return { scorer, auc: auc(answers), ece: isProbability ? ece(answers) : null }
  })
  printTable(
    'Scorers of samples',
    ['scorer', 'AUC', 'low', 'high', 'ECE', 'n'],
    figures.map((figure) => [
      figure.scorer,
      figure.auc.value,
      figure.auc.low ?? '-',
      figure.auc.high ?? '-',
      figure.ece?.value ?? '-',
      figure.auc.n,
    ]),
  )
  return figures
}

const BETAS = [1e-3, 1e-2, 1e-1, 1]

export function measureCurves(
  sampled: readonly Sampled<ScoredSample>[],
  { count, beta }: Pick<SelectionOptions, 'count' | 'beta'>,
) {
  const most = sampled[0]?.samples.length ?? 0
  const counts = [1, 2, 4, 8, 16, 32].filter((each) => each <= most)
  const lines: Readonly<Record<string, rules.Rule>> = {
    'pass@N': rules.oracle,
    lto: rules.lto('lrm', beta),
    'LRM-weighted majority': rules.weighted('lrm'),
    'best by verifier': rules.best('verifier'),
    majority: rules.majority,
  }
  const overSamples = Object.entries(lines).map(([name, rule]) => ({
    name,
    points: counts.map((x) => ({ x, ...rules.estimate(rules.outcomes(sampled, rule, x)) })),
  }))
  const overBeta = (['lrm', 'verifier'] as const).map((scorer) => ({
    name: scorer === 'lrm' ? 'by LRM' : 'by verifier',
    points: BETAS.map((x) => ({
      x,
      ...rules.estimate(rules.outcomes(sampled, rules.lto(scorer, x), count)),
    })),
  }))
  printCurves('Accuracy over N', 'N', overSamples)
  printCurves(`lto over beta, N = ${count}`, 'beta', overBeta)
  return { overSamples, overBeta }
}

type Curve = {
  readonly name: string
  readonly points: readonly ({ readonly x: number } & rules.Estimate)[]
}

function printCurves(title: string, x: string, curves: readonly Curve[]): void {
  printTable(
    title,
    [x, ...curves.flatMap(({ name }) => [name, 'SE'])],
    curves[0]!.points.map((point, index) => [
      point.x,
      ...curves.flatMap(({ points }) => [points[index]!.value, points[index]!.standardError]),
    ]),
  )
}

export function plotCurves({ overSamples, overBeta }: ReturnType<typeof measureCurves>): Plot[] {
  const series = (curves: readonly Curve[]) =>
    curves.map(({ name, points }) => ({ name, points: points.map(({ x, value }) => [x, value] as const) }))
  return [
    {
      title: 'Accuracy over N',
      x: { label: 'N', log: 2 },
      y: { label: 'accuracy' },
      legend: { x: 0.5, y: 0.6 },
      series: series(overSamples),
    },
    {
      title: 'lto over beta',
      x: { label: 'beta', log: 10 },
      y: { label: 'accuracy' },
      legend: { x: 0, y: 0.8 },
      series: series(overBeta),
    },
  ]
}
