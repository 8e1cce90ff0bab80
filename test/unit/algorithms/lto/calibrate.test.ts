import { expect, test } from 'vitest'
import { createRandom } from '#tensor'
import {
  type CalibrationAnswers,
  fitCalibration,
  meanCrossEntropy,
} from '../../../../src/algorithms/lto/calibrate.ts'

/** Answers that are right with probability sigmoid(scale * logit + bias). */
function drawn(count: number, scale: number, bias: number, seed = 1): CalibrationAnswers {
  const random = createRandom(seed)
  const logits = Array.from({ length: count }, () => 3 * random.gaussian())
  const labels = logits.map((logit) => Number(random.uniform() < 1 / (1 + Math.exp(-(scale * logit + bias)))))
  return { logits, labels, weights: logits.map(() => 1) }
}

test.each([
  [0.4, -0.8],
  [1, 0],
  [2.5, 1],
])('finds scale %d and bias %d again', (scale, bias) => {
  const fitted = fitCalibration(drawn(20_000, scale, bias))
  expect(fitted.scale / scale).toBeCloseTo(1, 1)
  expect(Math.abs(fitted.bias - bias)).toBeLessThan(0.1)
})

test('the fitted calibration minimises the cross-entropy', () => {
  const answers = drawn(600, 0.5, 0.3)
  const { scale, bias } = fitCalibration(answers)
  const least = meanCrossEntropy(answers, { scale, bias })
  for (const [byScale, byBias] of [
    [0.01, 0],
    [-0.01, 0],
    [0, 0.01],
    [0, -0.01],
  ] as const) {
    expect(meanCrossEntropy(answers, { scale: scale + byScale, bias: bias + byBias })).toBeGreaterThan(least)
  }
})

test('weights count as repetitions', () => {
  const answers = drawn(400, 0.7, 0.2)
  const doubled = [...answers.logits.keys(), ...[...answers.logits.keys()].slice(0, 200)]
  const repeated = {
    logits: doubled.map((i) => answers.logits[i]!),
    labels: doubled.map((i) => answers.labels[i]!),
    weights: doubled.map(() => 1),
  }
  const weighted = { ...answers, weights: answers.logits.map((_, i) => (i < 200 ? 2 : 1)) }
  const [a, b] = [fitCalibration(repeated), fitCalibration(weighted)]
  expect(a.scale).toBeCloseTo(b.scale, 6)
  expect(a.bias).toBeCloseTo(b.bias, 6)
})

test('with few answers of a class only the temperature is fitted', () => {
  const { logits, weights } = drawn(200, 1, 0)
  const rare = { logits, weights, labels: logits.map((logit) => Number(logit > 5)) }
  expect(rare.labels.filter((label) => label === 1).length).toBeLessThan(50)
  expect(fitCalibration(rare).bias).toBe(0)
  expect(fitCalibration(drawn(400, 1, 1)).bias).not.toBe(0)
})

test('answers that contradict the ranking flatten it and never reverse it', () => {
  const { logits, labels, weights } = drawn(500, 2, 0)
  const { scale } = fitCalibration({ logits, weights, labels: labels.map((label) => 1 - label) })
  expect(scale).toBeGreaterThan(0)
  expect(scale).toBeLessThan(0.05)
})

test('separable answers and large logits give finite constants', () => {
  const logits = Array.from({ length: 200 }, (_, i) => (i < 100 ? -1 : 1) * (i + 1) * 50)
  const labels = logits.map((logit) => Number(logit > 0))
  const { scale, bias } = fitCalibration({ logits, labels, weights: logits.map(() => 1) })
  expect(Number.isFinite(scale) && Number.isFinite(bias)).toBe(true)
  expect(meanCrossEntropy({ logits, labels, weights: logits.map(() => 1) }, { scale, bias })).toBeLessThan(
    1e-3,
  )
})
