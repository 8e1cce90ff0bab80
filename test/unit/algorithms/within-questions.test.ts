/** @file Scores that bench:recurrent compares within questions, and the AUC over its mixed questions. */

import { expect, test } from 'vitest'
import type { Sample, Sampled } from '../../../bench/recurrent/samples.ts'
import { depthExamples, plainScorers, withinAuc } from '../../../bench/recurrent/within.ts'

/** s_1 = (3, 4); s_2 is it, turned by `change`; later rows repeat s_2. */
function sample(answer: string, correct: boolean, change: readonly [number, number]): Sample {
  const end = [3 + change[0], 4 + change[1]]
  const thought = { data: Float32Array.from([3, 4, ...end, ...end]), layers: 3, width: 2 }
  return { answer, correct, reward: 0, thought, verified: null, logProbability: null }
}

function sampled(depth: number, samples: readonly Sample[]): Sampled {
  return { problem: { question: `q${depth}`, answer: '1', family: 'sum', depth }, samples }
}

const mixed = sampled(3, [sample('1', true, [0, 5]), sample('2', false, [0, 1]), sample('2', false, [5, 0])])
const right = sampled(9, [sample('1', true, [1, 0]), sample('1', true, [0, 1])])

test('convergence is the relative change at the last recurrence taken, not that of the repeated rows', () => {
  const scores = plainScorers(2)['convergence']!(mixed.samples)
  expect(scores.map((score) => Number(score.toFixed(6)))).toEqual([-1, -0.2, -1])
})

test('the AUC is a mean over questions with right and wrong samples only', () => {
  const { convergence, votes } = plainScorers(2)
  expect(withinAuc([mixed, right], convergence!)).toMatchObject({ value: 0.25, n: 1 })
  expect(withinAuc([mixed, right], votes!)).toMatchObject({ value: 0, n: 1 })
})

test('a label by depth is the same for all samples of a question', () => {
  expect(depthExamples([mixed, right], 6).map(({ correct }) => correct)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ])
})
