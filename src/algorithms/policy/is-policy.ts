/** @file Checks a policy that was read from JSON. */

import type { Policy, PolicyArm, PolicyBand, PolicyEffort } from '#ports'

export const EFFORTS: readonly PolicyEffort[] = ['minimal', 'low', 'medium', 'high']
const STRATEGIES: readonly unknown[] = [
  'greedy',
  'majority',
  'best-of-n',
  'fork',
  'latentseek',
] satisfies readonly PolicyArm['strategy'][]
const SELECTORS: readonly unknown[] = [
  'judge',
  'verifier',
  'log-probability',
  'self-certainty',
  'lrm',
] satisfies readonly PolicyArm['selector'][]
const MAX_SAMPLES = 64
const FIGURES = ['questions', 'draftAccuracy', 'accuracy', 'tokens']

/** Returns whether a value is a policy about the P(correct) of `signal`. */
export function isPolicy(read: unknown, signal: Policy['signal']): read is Policy {
  if (!isRecord(read) || read['signal'] !== signal) return false
  return EFFORTS.every((effort) => read[effort] === undefined || areBands(read[effort]))
}

function areBands(read: unknown): boolean {
  if (!Array.isArray(read) || read.length === 0 || !read.every(isBand)) return false
  const bands: readonly PolicyBand[] = read
  return bands.every(({ from }, index) => (index === 0 ? from === 0 : from > (bands[index - 1]?.from ?? 1)))
}

function isBand(read: unknown): read is PolicyBand {
  if (!isRecord(read)) return false
  const { from, strategy, samples, selector } = read
  return (
    isWithin(from, 0, 1) &&
    STRATEGIES.includes(strategy) &&
    (samples === undefined || (Number.isInteger(samples) && isWithin(samples, 1, MAX_SAMPLES))) &&
    (selector === undefined || SELECTORS.includes(selector)) &&
    FIGURES.every((name) => read[name] === undefined || Number.isFinite(read[name]))
  )
}

function isWithin(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && value >= min && value <= max
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
