/** @file Calibration: maps logits to probabilities that match observed frequencies. */

import { minimise } from '../training/newton.ts'

/** P(correct) = sigmoid(scale * logit + bias). */
export interface Calibration {
  readonly scale: number
  readonly bias: number
}

export const UNCALIBRATED: Calibration = { scale: 1, bias: 0 }

/** Answers that a calibration is fitted to, in parallel arrays. */
export interface CalibrationAnswers {
  readonly logits: readonly number[]
  /** 1 = right, 0 = wrong. */
  readonly labels: readonly number[]
  readonly weights: readonly number[]
}

/** Below this many answers of either class the bias would be noise, and only the scale is fitted. */
const MIN_ANSWERS_FOR_BIAS = 50
/** Lower bound on the scale, above 0 so that calibration never reverses a ranking. */
const MIN_SCALE = 1e-2

/**
 * Fits the calibration of least weighted cross-entropy by Newton's method: temperature and bias (Platt
 * 1999), or with fewer than 50 answers of either class the temperature alone (Guo et al., arXiv 1706.04599,
 * section 4.2).
 */
export function fitCalibration(answers: CalibrationAnswers): Calibration {
  const { logits, labels } = answers
  const right = labels.filter((label) => label > 0.5).length
  const withBias = Math.min(right, labels.length - right) >= MIN_ANSWERS_FOR_BIAS
  if (logits.length === 0) return UNCALIBRATED
  const at = ([scale = 1, bias = 0]: readonly number[]): Calibration => ({ scale, bias })
  return at(
    minimise([UNCALIBRATED.scale, UNCALIBRATED.bias], {
      loss: (values) => meanCrossEntropy(answers, at(values)),
      stepAt: (values) => newtonStep(answers, at(values), withBias),
      allowed: ([scale = 1, bias = 0]) => [Math.max(MIN_SCALE, scale), bias],
    }),
  )
}

/** Weighted mean cross-entropy, -log p(label), of calibrated logits. */
export function meanCrossEntropy(
  { logits, labels, weights }: CalibrationAnswers,
  { scale, bias }: Calibration = UNCALIBRATED,
): number {
  let total = 0
  let mass = 0
  for (const [index, logit] of logits.entries()) {
    const z = scale * logit + bias
    total += weights[index]! * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - labels[index]! * z)
    mass += weights[index]!
  }
  return total / mass
}

/**
 * Newton step -H^-1 g of the cross-entropy in (scale, bias), with 1e-6 on H's diagonal for separable data.
 */
function newtonStep({ logits, labels, weights }: CalibrationAnswers, at: Calibration, withBias: boolean) {
  let [gradientScale, gradientBias, scaleScale, scaleBias, biasBias] = [0, 0, 1e-6, 0, 1e-6]
  for (const [index, logit] of logits.entries()) {
    const p = 1 / (1 + Math.exp(-(at.scale * logit + at.bias)))
    const error = weights[index]! * (p - labels[index]!)
    const curvature = weights[index]! * p * (1 - p)
    gradientScale += error * logit
    gradientBias += error
    scaleScale += curvature * logit * logit
    scaleBias += curvature * logit
    biasBias += curvature
  }
  if (!withBias) return [-gradientScale / scaleScale, 0]
  const determinant = scaleScale * biasBias - scaleBias * scaleBias
  return [
    -(biasBias * gradientScale - scaleBias * gradientBias) / determinant,
    -(scaleScale * gradientBias - scaleBias * gradientScale) / determinant,
  ]
}
