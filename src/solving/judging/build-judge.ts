/** @file The reward of one request: verifier, format rules and latent reward model under the request's weights. */

import { createFormatTerm, createRewardJudge, createVerifier, type Judge, type RewardTerm } from '#algorithms'
import type { ModelProfile } from '#engine'
import type { LatentRewardModel, LatentSession } from '#ports'
import { profileWeights, type Settings } from '../settings.ts'
import type { SolveState } from '../solve-state.ts'
import type { Confidences } from './confidences.ts'
import type { createFormatRules } from './format-rules.ts'
import type { VerdictContext, Verdicts } from './verdicts.ts'

export interface JudgeParts {
  readonly profile: ModelProfile
  readonly verdicts: Verdicts
  readonly formatRules: ReturnType<typeof createFormatRules>
}

export interface JudgeContext {
  readonly settings: Settings
  /**
   * Weights of admission, of the stored reward and of the one that the fused judge reads, which are the profile's; null
   * when the request has the same ones, or leaves no episode and has no fused judge.
   */
  readonly admissionWeights: Settings['weights'] | null
  readonly session: LatentSession
  readonly verdictContext: VerdictContext
  readonly rewardModel: LatentRewardModel | null
  readonly confidences: Confidences
  readonly state: Pick<SolveState, 'meter' | 'degraded'>
}

/**
 * Builds the judge of one request. The request's weights steer its own search and its response; with
 * `admissionWeights`, each judgement also has reward and P(correct) under those. Terms that have weight 0 under both are not
 * computed. When the request gives the latent reward model a weight
 * and there is no model, or it fails, its term is left out, the other weights are normalised without it, and `degraded` names
 * `lrm`; when no other term has a weight, the profile's weights are used. Stopping and admission use the verifier's P(correct)
 * whenever the verifier is asked.
 */
export function buildJudge(parts: JudgeParts, context: JudgeContext): Judge {
  const { settings, admissionWeights, rewardModel, confidences } = context
  const { weights } = settings
  const lrm = weightsOf('lrm', weights, admissionWeights)
  const without = createRewardJudge(termsWithout(parts, context))
  if (!hasWeight(lrm)) return without
  if (rewardModel === null) {
    if (weights.lrm > 0) context.state.degraded.add('lrm')
    return without
  }
  const whole = createRewardJudge([
    createConfidenceTerm(confidences, lrm),
    ...termsOf(parts, context, weights, admissionWeights),
  ])
  return {
    judge: async (answers) =>
      (await confidences.of(answers)) === null ? without.judge(answers) : whole.judge(answers),
  }
}

/** The `lrm` term: P(correct) - 1; -1 for an answer without a thought. */
function createConfidenceTerm(confidences: Confidences, weights: TermWeights): RewardTerm {
  return {
    name: 'lrm',
    ...weights,
    async score(answers) {
      const known = await confidences.of(answers)
      return answers.map((_, index) => {
        const correctness = known?.[index] ?? 0
        return { value: correctness - 1, parts: {}, correctness }
      })
    },
  }
}

type Weights = Pick<Settings['weights'], 'verifier' | 'format'>
type TermWeights = Pick<RewardTerm, 'weight' | 'admissionWeight'>

function weightsOf<Name extends string>(
  name: Name,
  weights: Readonly<Record<Name, number>>,
  admissionWeights: Readonly<Record<Name, number>> | null,
): TermWeights {
  return {
    weight: weights[name],
    ...(admissionWeights !== null && { admissionWeight: admissionWeights[name] }),
  }
}

function hasWeight({ weight, admissionWeight = 0 }: TermWeights): boolean {
  return weight + admissionWeight > 0
}

function termsWithout(parts: JudgeParts, context: JudgeContext): RewardTerm[] {
  const verifierAlone: Weights = { verifier: 1, format: 0 }
  const usable = (...choices: Weights[]) =>
    choices.find(({ verifier, format }) => verifier + format > 0) ?? verifierAlone
  const { settings, admissionWeights } = context
  const profile = profileWeights(parts.profile)
  const admission = admissionWeights === null ? null : usable(admissionWeights)
  return termsOf(parts, context, usable(settings.weights, profile), admission)
}

function termsOf(
  parts: JudgeParts,
  context: JudgeContext,
  weights: Weights,
  admissionWeights: Weights | null,
): RewardTerm[] {
  const verifier = {
    ...createVerifier({
      weight: weights.verifier,
      ask: parts.verdicts.ask(context.session, (tokens) => {
        context.state.meter.rewardTokens += tokens
      }),
      criteria: parts.verdicts.criteriaFor(context.verdictContext),
      isJudgeable: ({ answer, finish }) =>
        answer !== null && (finish === 'eos' || !parts.profile.format.mustEnd),
    }),
    ...weightsOf('verifier', weights, admissionWeights),
  }
  const format = {
    ...createFormatTerm(parts.formatRules(context.verdictContext.question), weights.format),
    ...weightsOf('format', weights, admissionWeights),
  }
  return [verifier, format].filter(hasWeight)
}
