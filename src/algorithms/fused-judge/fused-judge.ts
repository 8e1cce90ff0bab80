/** @file The fused judge: a logistic regression over the features of an answer, small enough to read. */

import { ServiceError } from '#errors'
import type { FusedJudge, Policy } from '#ports'
import { isPolicy } from '../policy/is-policy.ts'
import { type Features, judgeFeatures } from './features.ts'

/**
 * Weight of one feature. Its value is standardised: (value - mean) / deviation; a missing or withheld one counts as the
 * mean.
 */
export interface FeatureWeight {
  readonly name: string
  readonly mean: number
  readonly deviation: number
  readonly weight: number
  /** Added to the logit when the feature is missing. */
  readonly missing: number
}

export interface JudgeWeights {
  readonly bias: number
  readonly features: readonly FeatureWeight[]
  /** Policy of `auto` on its P(correct); absent when none pays, and in artifacts of earlier releases. */
  readonly policy?: Policy
}

/** Returns P(correct) = sigmoid(bias + sum of the weighted features), in (0, 1). */
export function judgedProbability({ bias, features }: JudgeWeights, known: Features): number {
  let logit = bias
  for (const { name, mean, deviation, weight, missing } of features) {
    const value = known[name] ?? null
    if (value === null) logit += missing
    else if (value !== 'withheld') logit += (weight * (value - mean)) / deviation
  }
  return 1 / (1 + Math.exp(-logit))
}

/** Returns the bytes of an artifact: JSON, so that an operator can read it. */
export function encodeJudge(weights: JudgeWeights): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(weights))
}

/** Loads a fused judge from its bytes. @throws ServiceError ARTIFACT_INVALID, see `decodeJudge` */
export function openFusedJudge(version: string, bytes: Uint8Array): FusedJudge {
  const weights = decodeJudge(version, bytes)
  return {
    version,
    policy: weights.policy ?? null,
    score: async (answers) => answers.map((one) => judgedProbability(weights, judgeFeatures(one))),
  }
}

/** Version of the reward model in the manifest of a judge that was fitted without one. */
export const NO_REWARD_MODEL = 'none'

/**
 * Returns whether a judge was fitted with the active reward model.
 *
 * @param fitted version of the reward model of the fit, as its manifest states it; undefined in those of earlier releases, which
 *   read any estimate
 * @param active version of the active reward model; null for none
 */
export function isFittedWith(fitted: unknown, active: string | null): boolean {
  return fitted === undefined || fitted === (active ?? NO_REWARD_MODEL)
}

/**
 * Returns the judge as it may score beside the active reward model. Estimates of another one than that of its fit are withheld,
 * so that the feature counts as its mean: their scale is not the one that was weighed. A rollback of the reward model, or a night
 * that promotes a new one and no new judge, leaves the two apart until the next judge is promoted.
 */
export function besideRewardModel(judge: FusedJudge, fitted: unknown, active: string | null): FusedJudge {
  if (isFittedWith(fitted, active)) return judge
  return {
    ...judge,
    score: (answers) => judge.score(answers.map((one) => ({ ...one, confidence: 'withheld' }))),
  }
}

/** Reads the bytes of an artifact. @throws ServiceError ARTIFACT_INVALID when they are no weights, or their policy is none */
export function decodeJudge(version: string, bytes: Uint8Array): JudgeWeights {
  const invalid = (got: string, cause?: unknown) =>
    new ServiceError('ARTIFACT_INVALID', `fused judge ${version}: expected weights of features, got ${got}`, {
      cause,
    })
  let read: unknown
  try {
    read = JSON.parse(new TextDecoder('utf8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw invalid(`${bytes.length} bytes that are no JSON`, cause)
  }
  if (!isWeights(read)) throw invalid('JSON of another shape')
  return read
}

function isWeights(read: unknown): read is JudgeWeights {
  if (!isRecord(read) || !Number.isFinite(read['bias']) || !Array.isArray(read['features'])) return false
  if (read['policy'] !== undefined && !isPolicy(read['policy'], 'judge')) return false
  return read['features'].every(
    (one: unknown) =>
      isRecord(one) &&
      typeof one['name'] === 'string' &&
      ['mean', 'deviation', 'weight', 'missing'].every((field) => Number.isFinite(one[field])) &&
      Number(one['deviation']) > 0,
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
