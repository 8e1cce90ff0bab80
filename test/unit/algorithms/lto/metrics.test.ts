import { expect, test } from 'vitest'
import {
  accuracy,
  auc,
  bootstrapByQuestion,
  ece,
  f1,
  pairedAucDifference,
  type ScoredAnswer,
} from '#algorithms'
import { createRandom } from '#tensor'

const answers = (...pairs: readonly (readonly [number, boolean])[]): ScoredAnswer[] =>
  pairs.map(([score, correct], index) => ({ question: `q${index}`, score, correct }))

/** `questions` of 4 answers each that share a difficulty; `noise` 0 scores them perfectly. */
function simulate(seed: number, questions: number, noise: number): ScoredAnswer[] {
  const random = createRandom(seed)
  return Array.from({ length: questions }, (_, q) => {
    const ease = random.gaussian()
    return Array.from({ length: 4 }, () => {
      const logit = ease + 0.5 * random.gaussian()
      const seen = 1 / (1 + Math.exp(-(logit + noise * random.gaussian())))
      return { question: `q${q}`, score: seen, correct: random.uniform() < 1 / (1 + Math.exp(-logit)) }
    })
  }).flat()
}

/** AUC by its definition, pair by pair. */
function aucByPairs(given: readonly ScoredAnswer[]): number {
  const right = given.filter(({ correct }) => correct)
  const wrong = given.filter(({ correct }) => !correct)
  let ordered = 0
  for (const { score } of right)
    for (const other of wrong) ordered += score > other.score ? 1 : score === other.score ? 0.5 : 0
  return ordered / (right.length * wrong.length)
}

test('AUC counts ordered pairs, ties one half', () => {
  expect(auc(answers([0.9, true], [0.1, false])).value).toBe(1)
  expect(auc(answers([0.1, true], [0.9, false])).value).toBe(0)
  expect(auc(answers([0.5, true], [0.5, false], [0.5, true])).value).toBe(0.5)
  const coarse = simulate(1, 60, 1).map((each) => ({ ...each, score: Math.round(each.score * 5) / 5 }))
  expect(auc(coarse).value).toBeCloseTo(aucByPairs(coarse), 12)
  expect(auc(answers([0.1, true], [0.9, true])).value).toBeNaN()
})

test('intervals are over clusters of near-duplicates, where they are known', () => {
  // Each question was asked five times, in other words.
  const asked = simulate(4, 40, 1).flatMap((answer) =>
    Array.from({ length: 5 }, (_, wording) => ({ ...answer, question: `${answer.question} ${wording}` })),
  )
  const clustered = asked.map((answer) => ({ ...answer, cluster: answer.question.split(' ')[0]! }))
  const widthOf = ({ low = 0, high = 0 }) => high - low
  expect(widthOf(auc(clustered))).toBeGreaterThan(1.5 * widthOf(auc(asked)))
  expect(auc(clustered).value).toBe(auc(asked).value)
})

test('accuracy and F1 at one half', () => {
  const given = answers([0.5, true], [0.9, true], [0.6, false], [0.4, true], [0.1, false])
  expect(accuracy(given).value).toBeCloseTo(3 / 5, 12)
  expect(f1(given).value).toBeCloseTo((2 * 2) / (3 + 3), 12) // precision 2/3, recall 2/3
})

test('ECE is the gap in each of 15 bins, weighted', () => {
  // Bin 14: mean .975, one of two right; bin 3: .21, none right.
  const given = answers([0.95, true], [1, false], [0.21, false], [0.21, false])
  expect(ece(given).value).toBeCloseTo((0.975 - 0.5) / 2 + 0.21 / 2, 12)
  expect(ece(answers([1, true], [0, false])).value).toBe(0)
  const random = createRandom(2)
  const calibrated = Array.from({ length: 20_000 }, (_, i) => {
    const score = random.uniform()
    return { question: `${i}`, score, correct: random.uniform() < score }
  })
  expect(ece(calibrated, { resamples: 10 }).value).toBeLessThan(0.02)
})

test('the interval covers the truth at about its nominal rate for dependent answers', () => {
  const truth = auc(simulate(999, 30_000, 1), { resamples: 1 }).value
  const rounds = 150
  let covered = 0
  for (let round = 0; round < rounds; round++) {
    const { low, high } = auc(simulate(round, 80, 1), { seed: round, resamples: 200 })
    if (low! <= truth && truth <= high!) covered++
  }
  // 95 % +- 3.5 standard errors of the count, and a little for the percentile method.
  expect(covered / rounds).toBeGreaterThan(0.87)
  expect(covered / rounds).toBeLessThan(1)
})

test('resampling questions gives wider intervals than resampling answers for dependent answers', () => {
  const dependent = Array.from({ length: 40 }, (_, q) =>
    Array.from({ length: 8 }, () => ({ question: `q${q}`, score: 1, correct: q % 3 === 0 })),
  ).flat()
  const independent = dependent.map((answer, index) => ({ ...answer, question: `${index}` }))
  const width = ({ low, high }: { low?: number; high?: number }) => high! - low!
  const ratio = width(accuracy(dependent)) / width(accuracy(independent))
  expect(ratio).toBeGreaterThan(2.2) // sqrt(8) = 2.83
  expect(ratio).toBeLessThan(3.5)
})

test('the same seed gives the same interval', () => {
  const given = simulate(4, 40, 1)
  expect(auc(given, { seed: 5 })).toEqual(auc(given, { seed: 5 }))
  expect(auc(given, { seed: 6 })).not.toEqual(auc(given, { seed: 5 }))
  expect(auc(given).n).toBe(160)
})

test('a mostly undefined statistic and few questions give a value without an interval', () => {
  const questions = Array.from({ length: 10 }, (_, index) => `q${index}`)
  const mostlyUndefined = (weights: Float64Array) =>
    weights.every((weight) => weight === 1) ? 3 : Number.NaN
  expect(bootstrapByQuestion(questions, mostlyUndefined)).toEqual({ value: 3, n: 10 })
  const mass = (weights: Float64Array) => weights[0]!
  expect(bootstrapByQuestion(questions, mass)).toMatchObject({ low: 0, high: 3 })
  expect(bootstrapByQuestion(questions.slice(1), mass)).toEqual({ value: 1, n: 9 })
})

test('the paired difference has a much narrower interval than the two AUCs', () => {
  const active = simulate(8, 200, 1)
  const random = createRandom(80)
  const same = active.map(({ score }) => score + 0.01 * random.gaussian())
  const worse = active.map(({ score }) => score + random.gaussian())
  const level = pairedAucDifference(active, same)
  expect(Math.abs(level.value)).toBeLessThan(0.01)
  expect(level.high! - level.low!).toBeLessThan(0.02)
  const { low, high } = auc(active)
  expect(high! - low!).toBeGreaterThan(0.05)
  expect(pairedAucDifference(active, worse).low).toBeGreaterThan(0)
})

test('a score that is not a number is refused', () => {
  const given = answers([Number.NaN, true], [0.1, false])
  for (const metric of [auc, accuracy, f1, ece])
    expect(() => metric(given)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  const fine = answers([0.2, true], [0.1, false])
  for (const scores of [[0.1, Number.NaN], [0.1]])
    expect(() => pairedAucDifference(fine, scores)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
})
