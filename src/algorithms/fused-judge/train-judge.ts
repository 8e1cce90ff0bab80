/** @file Trains a fused judge on labelled answers. */

import type { Policy } from '#ports'
import { brierScore } from '../lto/metrics.ts'
import { meanDifference, type Pair } from '../training/non-inferiority.ts'
import type { Figure, Part, Training } from '../training/training-result.ts'
import { judgeFeatures } from './features.ts'
import { fitJudge } from './fit-judge.ts'
import { encodeJudge, type FeatureWeight, type JudgeWeights, judgedProbability } from './fused-judge.ts'
import { chooseJudgePolicy, type PolicyAnswer } from './judge-policy.ts'

/** A labelled answer with all that is known of it. */
export interface JudgeExample extends PolicyAnswer {
  /** Part of the split; the same for all examples of a cluster. */
  readonly part: Part
  /** Trust in the label, in (0, 1]. */
  readonly weight: number
}

export interface TrainedJudge {
  /** JSON; see `encodeJudge`. */
  readonly model: Uint8Array
  readonly features: Readonly<Record<string, number | string>>
  readonly options: Readonly<Record<string, unknown>>
  /** Weight of each feature for one standard deviation, by name, with the bias. */
  readonly weights: Readonly<Record<string, number>>
  /** Policy on its P(correct), which the model holds; null when none pays. */
  readonly policy: Policy | null
  /** Figures of the policy, see `chooseJudgePolicy`. */
  readonly metrics: Readonly<Record<string, Figure>>
  /** Indices of the held-out examples, and of the locked ones: drafts, and those whose label is not `self`. */
  readonly heldOut: readonly number[]
  readonly locked: readonly number[]
}

/** Lower bounds on what a fit needs: clusters of questions, and answers of either class. */
const MIN_CLUSTERS = 8
const MIN_ANSWERS = 10

/**
 * Fits a fused judge on the examples of the parts `train` and `calibration`. The caller withholds the estimates of the latent
 * reward model of the answers that it was trained on.
 *
 * Labels by self-reward are left out: they are the verifier's own verdict, which is a feature. The policy is chosen on the same
 * episodes, so that an artifact depends on no others; it reads drafts without their labels by self-reward.
 *
 * The weights of the active judge stay unless a fit is better on questions that the fit did not see (`improvesOn`): a dozen weights
 * soon stop changing, and the policy, which goes on to gain from every new question, must not wait for them.
 *
 * @param active the active judge, fitted to answers of the same verifier and beside the same reward model; none unless given
 */
export function trainJudge(
  examples: readonly JudgeExample[],
  active: JudgeWeights | null = null,
): Training<TrainedJudge> {
  const own = examples.filter(({ part }) => part === 'train' || part === 'calibration')
  const fitted = own.filter(({ source }) => source !== 'self')
  const measuredOf = (part: Part) =>
    [...examples.keys()].filter((index) => {
      const example = examples[index]!
      return example.part === part && (example.source !== 'self' || example.kind === 'draft')
    })
  const clusters = new Set(fitted.map(({ answer }) => answer.cluster ?? answer.question)).size
  const right = fitted.filter(({ answer }) => answer.correct).length
  const fewest = Math.min(right, fitted.length - right)
  if (clusters < MIN_CLUSTERS) {
    return { skipped: `too few questions to fit a judge on: expected ${MIN_CLUSTERS}, got ${clusters}` }
  }
  if (fewest < MIN_ANSWERS) {
    return {
      skipped: `too few right or wrong answers to fit a judge on: expected ${MIN_ANSWERS} of each, got ${fewest}`,
    }
  }
  const isKept = active !== null && !improvesOn(active, fitted)
  const weights = isKept ? withoutPolicy(active) : fitTo(fitted)
  const { policy, metrics, questions } = chooseJudgePolicy(weights, own)
  return {
    trained: {
      model: encodeJudge({ ...weights, ...(policy !== null && { policy }) }),
      features: { names: weights.features.map(({ name }) => name).join(' ') },
      options: {
        answers: fitted.length,
        questions: clusters,
        policyQuestions: questions,
        weightsKept: isKept,
      },
      weights: readable(weights.bias, weights.features),
      policy,
      metrics,
      heldOut: measuredOf('heldOut'),
      locked: measuredOf('locked'),
    },
  }
}

/** Number of parts of the cross-validation. */
const FOLDS = 5

/**
 * Returns whether fits to four fifths of the questions have a Brier score on the other fifth that is lower than that of the active
 * judge, by more than one standard error over the clusters. The active judge may know some of these questions: in doubt it stays.
 */
function improvesOn(active: JudgeWeights, examples: readonly JudgeExample[]): boolean {
  const clusterOf = ({ answer }: JudgeExample) => answer.cluster ?? answer.question
  const clusters = [...Map.groupBy(examples, clusterOf).entries()]
  const pairs = Array.from({ length: FOLDS }, (_, fold): Pair[] => {
    const others = clusters.flatMap(([, own], index) => (index % FOLDS === fold ? [] : own))
    if (!hasBothClasses(others)) return []
    const judge = fitTo(others)
    return clusters.flatMap(([cluster, own], index) =>
      index % FOLDS === fold ? [{ cluster, mine: -brier(judge, own), theirs: -brier(active, own) }] : [],
    )
  }).flat()
  return meanDifference(pairs, 1).low > 0
}

function hasBothClasses(examples: readonly JudgeExample[]): boolean {
  return new Set(examples.map(({ answer }) => answer.correct)).size === 2
}

function brier(judge: JudgeWeights, examples: readonly JudgeExample[]): number {
  const scoreOf = ({ known }: JudgeExample) => judgedProbability(judge, judgeFeatures(known))
  return brierScore(examples.map((one) => ({ score: scoreOf(one), correct: one.answer.correct })))
}

function fitTo(examples: readonly JudgeExample[]): JudgeWeights {
  return fitJudge(
    examples.map(({ answer, known, weight }) => ({
      features: judgeFeatures(known),
      correct: answer.correct,
      weight,
    })),
  )
}

function withoutPolicy({ bias, features }: JudgeWeights): JudgeWeights {
  return { bias, features }
}

function readable(bias: number, features: readonly FeatureWeight[]): Readonly<Record<string, number>> {
  const missing = features.filter((one) => one.missing !== 0)
  return {
    bias,
    ...Object.fromEntries(features.map(({ name, weight }) => [name, weight])),
    ...Object.fromEntries(missing.map((one) => [`${one.name} is missing`, one.missing])),
  }
}
