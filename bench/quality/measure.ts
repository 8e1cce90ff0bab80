/** @file One arm of the quality bench: solves every problem once and summarises the solutions. */

import { concurrently } from '#evaluation'
import type { Solution, SolveRequest, Solver } from '#solving'
import type { Problem } from '../../models/order-of-operations/problems.ts'
import { mean, quantile, standardError } from '../report/statistics.ts'

/** Requests at once: a number that the engine batches well. It changes the time, not the answers. */
const CONCURRENCY = 16

export interface Solved {
  readonly problem: Problem
  readonly solution: Solution
  /** Wall-clock milliseconds with `CONCURRENCY` requests at once. */
  readonly ms: number
}

export interface Arm {
  readonly n: number
  readonly accuracy: number
  readonly standardError: number
  /** Optimiser updates per problem. */
  readonly steps: number
  /** New answers judged after the draft, per problem. */
  readonly evaluations: number
  /** Tokens decoded, per problem. */
  readonly generatedTokens: number
  /** Tokens fed to the judge, per problem. */
  readonly rewardTokens: number
  /** Share of problems answered without an optimiser update. */
  readonly withoutStep: number
  readonly meanReward: number
  readonly p50Ms: number
}

export type Ask = Partial<SolveRequest> & Pick<SolveRequest, 'strategy'>

/**
 * Solves every problem, seeded by its index; stores nothing unless `ask` says so. `told` adds the answer as
 * the reference.
 */
export function solveAll(
  solver: Solver,
  problems: readonly Problem[],
  ask: Ask,
  { told = false } = {},
): Promise<Solved[]> {
  const { signal } = new AbortController()
  return concurrently(problems, CONCURRENCY, async (problem, index) => {
    const started = performance.now()
    const solution = await solver.solve(
      {
        tenantId: 'bench',
        question: problem.question,
        learn: false,
        explain: true,
        seed: index,
        ...ask,
        ...(told && { reference: problem.answer }),
      },
      { signal },
    )
    return { problem, solution, ms: performance.now() - started }
  })
}

export function isRight({ problem, solution }: Solved): boolean {
  return solution.answer === problem.answer
}

/** Means over the solutions. `right` decides whether a solution counts as correct. */
export function summarise(solved: readonly Solved[], right: (one: Solved) => boolean = isRight): Arm {
  const of = (value: (solution: Solution) => number) => mean(solved.map(({ solution }) => value(solution)))
  const accuracy = mean(solved.map((one) => Number(right(one))))
  return {
    n: solved.length,
    accuracy,
    standardError: standardError(accuracy, solved.length),
    steps: of(({ iterations }) => iterations),
    evaluations: of(({ evaluations }) => evaluations),
    generatedTokens: of(({ usage }) => usage.generatedTokens),
    rewardTokens: of(({ usage }) => usage.rewardTokens),
    withoutStep: of(({ iterations }) => Number(iterations === 0)),
    meanReward: of(({ reward }) => reward),
    p50Ms: quantile(
      solved.map(({ ms }) => ms),
      0.5,
    ),
  }
}

export const ARM_HEADER = [
  'arm',
  'accuracy',
  'SE',
  'steps',
  'evaluations',
  'generated tokens',
  'reward tokens',
  'no step',
  'mean reward',
]

export function armRow(name: string, arm: Arm): (string | number)[] {
  return [
    name,
    arm.accuracy,
    arm.standardError,
    arm.steps,
    arm.evaluations,
    arm.generatedTokens,
    arm.rewardTokens,
    arm.withoutStep,
    arm.meanReward,
  ]
}
