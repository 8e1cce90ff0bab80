/** @file Answers the tasks of an evaluation: every problem by every arm under every seed, several at once. */

import { setTimeout } from 'node:timers/promises'
import { deriveSeed } from '#algorithms'
import { hasCode, ServiceError } from '#errors'
import type { Arm } from './arms.ts'
import type { Ask } from './ask.ts'
import { concurrently } from './concurrently.ts'
import type { Grade } from './grade.ts'
import type { Problem } from './problems.ts'
import { type AnswerRecord, failureRecord, solutionRecord, type Task } from './records.ts'

/** Problems that one arm answers before the next has its turn: an evaluation that ends early compares all arms. */
const BLOCK = 16

/**
 * Lists the tasks of an evaluation in their order: by seed, by block of problems, by arm. A strategy that draws nothing
 * (`greedy`) has only the first seed.
 */
export function listTasks(
  problems: readonly Problem[],
  arms: readonly Arm[],
  runs: readonly number[],
): Task[] {
  const tasks: Task[] = []
  for (const [index, run] of runs.entries()) {
    const drawing = index === 0 ? arms : arms.filter(({ request }) => request.strategy !== 'greedy')
    for (let first = 0; first < problems.length; first += BLOCK) {
      const block = problems.slice(first, first + BLOCK)
      for (const arm of drawing) tasks.push(...block.map((problem) => ({ problem, arm, run })))
    }
  }
  return tasks
}

export const taskKey = ({ problem, arm, run }: Task) => JSON.stringify([problem.id, arm.name, run])

/** Returns the key of the task that an answer belongs to. */
export const recordKey = ({ problem, arm, run }: AnswerRecord) => JSON.stringify([problem, arm, run])

export interface AnswerOptions {
  readonly ask: Ask
  readonly grade: Grade
  readonly concurrency: number
  /** Ends the evaluation: tasks in progress are dropped, and no other begins. */
  readonly stop: AbortSignal
  /** Called with every answer at once. */
  readonly onAnswer: (record: AnswerRecord) => void
  /** Fingerprint that all answers must have; null: that of the first. */
  readonly fingerprint: string | null
  /** Pause before the first repetition of a request that a busy service refused, in ms; 1,000 unless given. */
  readonly pauseMs?: number
}

/** Faults of a problem: its answer is wrong, and the evaluation goes on. */
const FAULTS_OF_PROBLEM = ['PROMPT_TOO_LONG', 'MEMORY_EXCEEDED', 'ENGINE_CRASHED_BY_REQUEST'] as const

/** Faults of the moment: the request is repeated. */
const FAULTS_OF_MOMENT = [
  'ENGINE_OVERLOADED',
  'ENGINE_UNAVAILABLE',
  'ENGINE_CRASHED',
  // A server that cannot check a key.
  'STORE_UNAVAILABLE',
  'SHUTTING_DOWN',
] as const

const MAX_TRIES = 7

/**
 * Answers the tasks; the same problem has the same seed in every arm.
 *
 * @throws ServiceError the first fault that concerns more than one problem, or that stays; REQUEST_INVALID for an
 * answer of another model. Nothing new begins then, and answers in progress are dropped.
 */
export async function answerTasks(tasks: readonly Task[], options: AnswerOptions): Promise<void> {
  const failed = new AbortController()
  const signal = AbortSignal.any([options.stop, failed.signal])
  let { fingerprint } = options
  await concurrently(tasks, options.concurrency, async (task) => {
    if (signal.aborted) return
    try {
      const record = await answer(task, options, signal)
      const got = record.model?.fingerprint
      fingerprint ??= got ?? null
      if (got !== undefined && got !== fingerprint) {
        const models = `answers of the model ${fingerprint}, got one of ${got}`
        throw new ServiceError('REQUEST_INVALID', `evaluation: expected ${models}`)
      }
      options.onAnswer(record)
    } catch (thrown) {
      if (signal.aborted) return
      failed.abort()
      throw thrown
    }
  })
}

async function answer(task: Task, options: AnswerOptions, signal: AbortSignal): Promise<AnswerRecord> {
  const { problem, arm, run } = task
  const asked = { question: problem.question, arm, run, seed: deriveSeed(run, problem.line) }
  for (let tries = 1; ; tries++) {
    const at = Date.now()
    const started = performance.now()
    const time = () => ({ at, seconds: (performance.now() - started) / 1000 })
    try {
      const solution = await options.ask(asked, signal)
      return solutionRecord(task, { solution, grade: options.grade, ...time() })
    } catch (thrown) {
      const fault = FAULTS_OF_PROBLEM.find((code) => hasCode(thrown, code))
      if (fault !== undefined) return failureRecord(task, { error: fault, ...time() })
      if (!FAULTS_OF_MOMENT.some((code) => hasCode(thrown, code)) || tries === MAX_TRIES) throw thrown
      const wished = thrown instanceof ServiceError ? thrown.retryAfterSeconds : undefined
      const pauseMs = options.pauseMs ?? 1000
      await setTimeout(wished === undefined ? pauseMs * 2 ** (tries - 1) : wished * 1000, undefined, {
        signal,
      })
    }
  }
}
