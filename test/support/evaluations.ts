/** @file Problems, arms and answers of an evaluation whose model is a script. */

import {
  type AnswerRecord,
  type Ask,
  createGrade,
  describeMachine,
  parseArm,
  readProblems,
} from '#evaluation'
import type { Solution } from '#solving'

export const PROBLEMS = readProblems(
  Array.from({ length: 12 }, (_, index) =>
    JSON.stringify({
      question: `What is ${index} + 1?`,
      answer: `${index + 1}`,
      family: index % 2 ? 'odd' : 'even',
    }),
  ).join('\n'),
  'problems.jsonl',
)

export const ARMS = [parseArm('greedy'), parseArm('name=vote:majority:samples=4')]

/** Head of a report on these arms; what else it names does not matter. */
export const reportHead = (arms: readonly string[]) => ({
  title: 'Evaluation',
  problems: { file: 'problems.jsonl', sha256: 'x', count: PROBLEMS.length },
  seeds: [1],
  concurrency: 1,
  machine: describeMachine(),
  settings: arms.map((text) => parseArm(text)),
  total: PROBLEMS.length,
})

export const grade = createGrade(PROBLEMS, (answer) => answer.trim() || null, 'problems.jsonl')

export function solutionOf(answer: string | null, changes: Partial<Solution> = {}): Solution {
  return {
    id: 'id',
    episodeId: null,
    answer,
    reasoning: `ans ${answer}`,
    text: `ans ${answer}`,
    thought: null,
    finish: 'end',
    reward: -0.1,
    confidence: null,
    stopped: 'single',
    strategy: 'greedy',
    base: null,
    improved: false,
    iterations: 0,
    evaluations: 0,
    rewardHistory: [],
    retrieved: [],
    model: { id: 'scripted', fingerprint: 'f1', weaverVersion: null, lrmVersion: null, judgeVersion: null },
    seed: 1,
    usage: { cachedTokens: 0, promptTokens: 5, completionTokens: 10, generatedTokens: 10, rewardTokens: 1 },
    timings: { queueMs: 0, retrieveMs: 0, draftMs: 0, optimizeMs: 0, rewardMs: 0, totalMs: 0 },
    degraded: [],
    ...changes,
  }
}

/** Adds right, as the problems above ask. */
export const addRight: Ask = async ({ question }) => {
  const [, number] = /(\d+) \+ 1/.exec(question) ?? []
  return solutionOf(String(Number(number) + 1))
}

/** An answer with the given changes. */
export function recordOf(changes: Partial<AnswerRecord>): AnswerRecord {
  return {
    problem: '1',
    family: null,
    arm: 'greedy',
    run: 1,
    reference: '1',
    answer: '1',
    right: true,
    error: null,
    at: 0,
    seconds: 1,
    promptTokens: 5,
    generatedTokens: 10,
    judgedTokens: 1,
    stopped: 'single',
    ...changes,
  }
}
