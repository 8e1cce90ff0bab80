import { expect, test } from 'vitest'
import { splitQuestions } from '../../../../src/algorithms/training/split-questions.ts'

const asked = (count: number, answers = 3) =>
  Array.from({ length: count * answers }, (_, index) => `question ${index % count}`)

const sets = (questions: readonly string[]) => {
  const split = splitQuestions(questions)!
  const of = (indices: readonly number[]) => new Set(indices.map((index) => questions[index]!))
  return { train: of(split.train), calibration: of(split.calibration), heldOut: of(split.heldOut), split }
}

test.each([40, 60, 1000])('of %d questions none is in two parts and no answer is lost', (count) => {
  const questions = asked(count)
  const { train, calibration, heldOut, split } = sets(questions)
  expect(train.size + calibration.size + heldOut.size).toBe(count)
  expect(new Set([...train, ...calibration, ...heldOut]).size).toBe(count)
  expect([...split.train, ...split.calibration, ...split.heldOut].sort((a, b) => a - b)).toEqual([
    ...questions.keys(),
  ])
  expect(heldOut.size).toBeGreaterThanOrEqual(10)
  expect(calibration.size).toBeGreaterThanOrEqual(10)
})

test('shares are 70, 10 and 20 per cent of many questions', () => {
  const { train, calibration, heldOut } = sets(asked(3000, 1))
  expect(Math.abs(train.size / 3000 - 0.7)).toBeLessThan(0.04)
  expect(Math.abs(calibration.size / 3000 - 0.1)).toBeLessThan(0.025)
  expect(Math.abs(heldOut.size / 3000 - 0.2)).toBeLessThan(0.03)
})

test('a question held out from a large set is never trained or calibrated on in a smaller one', () => {
  const later = sets(asked(1000)).heldOut
  for (const count of [40, 100, 500]) {
    const { train, calibration } = sets(asked(count))
    for (const question of later) expect(train.has(question) || calibration.has(question)).toBe(false)
  }
})

test('the same question with other white space is in the same part', () => {
  const questions = asked(200, 1).flatMap((question) => [question, ` ${question.replace(' ', '\n  ')} `])
  const sides = Object.values(splitQuestions(questions)!)
  expect(sides.flat().length).toBe(400)
  for (const side of sides) expect(side.every((index: number) => side.includes(index ^ 1))).toBe(true)
})

test('fewer than 40 questions give null', () => {
  expect(splitQuestions(asked(39, 100))).toBeNull()
  expect(splitQuestions([])).toBeNull()
})
