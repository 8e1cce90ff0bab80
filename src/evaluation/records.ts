/** @file One line of `answers.jsonl`: an answer to one problem by one arm under one seed, graded. */

import type { Solution, SolutionCandidate } from '#solving'
import type { Arm } from './arms.ts'
import type { Grade } from './grade.ts'
import type { Problem } from './problems.ts'

export interface Task {
  readonly problem: Problem
  readonly arm: Arm
  /** Seed of the repetition. */
  readonly run: number
}

export interface AnswerRecord {
  readonly problem: string
  readonly family: string | null
  readonly arm: string
  /** Seed of the repetition. */
  readonly run: number
  readonly reference: string
  readonly answer: string | null
  readonly right: boolean
  /** Code of a fault of this problem; null: it was answered. */
  readonly error: string | null
  /** Start of the request, in ms since 1970. */
  readonly at: number
  /** Seconds until the answer, beside the other requests of the time. */
  readonly seconds: number
  readonly promptTokens: number
  readonly generatedTokens: number
  readonly judgedTokens: number
  /** The rest is absent where `error` is set. */
  readonly stopped?: Solution['stopped']
  readonly reward?: number
  readonly confidence?: number | null
  readonly iterations?: number
  readonly evaluations?: number
  /** Number of episodes that were retrieved. */
  readonly retrieved?: number
  readonly degraded?: Solution['degraded']
  readonly model?: Solution['model']
  readonly seed?: number
  readonly reasoning?: string
  /** With `explain`: every judged answer, without its text. */
  readonly candidates?: readonly (Omit<SolutionCandidate, 'text'> & { readonly right: boolean })[]
}

interface Time {
  readonly at: number
  readonly seconds: number
}

export function solutionRecord(
  task: Task,
  { solution, grade, at, seconds }: Time & { readonly solution: Solution; readonly grade: Grade },
): AnswerRecord {
  const { usage, candidates } = solution
  const isRight = (answer: string | null) => grade(task.problem, answer)
  return {
    ...labelsOf(task),
    answer: solution.answer,
    right: isRight(solution.answer),
    error: null,
    at,
    seconds,
    promptTokens: usage.promptTokens,
    generatedTokens: usage.generatedTokens,
    judgedTokens: usage.rewardTokens,
    stopped: solution.stopped,
    reward: solution.reward,
    confidence: solution.confidence,
    iterations: solution.iterations,
    evaluations: solution.evaluations,
    retrieved: solution.retrieved.length,
    degraded: solution.degraded,
    model: solution.model,
    seed: solution.seed,
    reasoning: solution.reasoning,
    ...(candidates !== undefined && {
      candidates: candidates.map(({ text, ...candidate }) => ({
        ...candidate,
        right: isRight(candidate.answer),
      })),
    }),
  }
}

export function failureRecord(
  task: Task,
  { error, at, seconds }: Time & { readonly error: string },
): AnswerRecord {
  const tokens = { promptTokens: 0, generatedTokens: 0, judgedTokens: 0 }
  return { ...labelsOf(task), answer: null, right: false, error, at, seconds, ...tokens }
}

function labelsOf({ problem, arm, run }: Task) {
  const { id, family, reference } = problem
  return { problem: id, family, arm: arm.name, run, reference }
}
