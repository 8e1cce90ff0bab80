/** @file The ranges of training options. */

import { ServiceError } from '#errors'
import type { TrainingOptions } from '../types.ts'

const isCount = (number: number) => Number.isSafeInteger(number) && number >= 0
const isRate = (number: number) => number >= 0 && number < 1
const isPositive = (number: number) => number > 0 && Number.isFinite(number)

const RANGES = {
  lr: [isPositive, 'a positive number'],
  beta1: [isRate, 'a number in [0, 1)'],
  beta2: [isRate, 'a number in [0, 1)'],
  epsilon: [isPositive, 'a positive number'],
  weightDecay: [(number) => number >= 0 && Number.isFinite(number), 'a number from 0'],
  clipNorm: [isPositive, 'a positive number'],
  warmupSteps: [isCount, 'a whole number from 0'],
  totalSteps: [(number) => isCount(number) && number > 0, 'a whole number from 1'],
} as const satisfies Record<keyof TrainingOptions, readonly [(number: number) => boolean, string]>

/** @throws ServiceError REQUEST_INVALID when an option is out of range. */
export function checkOptions(options: TrainingOptions): void {
  for (const [name, [isSound, range]] of Object.entries(RANGES)) {
    const number = options[name as keyof TrainingOptions]
    if (isSound(number)) continue
    throw new ServiceError(
      'REQUEST_INVALID',
      `training options: expected ${name} to be ${range}, got ${number}`,
    )
  }
}
