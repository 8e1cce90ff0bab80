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
  readonly session: LatentSession
  readonly verdictContext: VerdictContext
  readonly rewardModel: LatentRewardModel | null
  readonly confidences: Confidences
  readonly state: Pick<SolveState, 'meter' | 'degraded'>
}

/**
 * Builds the judge of one request. Terms with weight 0 are not computed. When the request gives the latent reward model a weight
 * and there is no model, or it fails, its term is left out, the other weights are normalised without it, and `degraded` names
 * `lrm`; when no other term has a weight, the profile's weights are used. Stopping and admission use the verifier's P(correct)
 * whenever the verifier is asked.
 */
export function buildJudge(parts: JudgeParts, context: JudgeContext): Judge {
  const { settings, rewardModel, confidences } = context
  const { weights } = settings
  const without = createRewardJudge(termsWithout(parts, context))
  if (weights.lrm === 0) return without
  if (rewardModel === null) {
    context.state.degraded.add('lrm')
    return without
  }
  const whole = createRewardJudge([
    createConfidenceTerm(confidences, weights.lrm),
    ...termsOf(parts, context, weights),
  ])
  return {
    judge: async (answers) =>
      (await confidences.of(answers)) === null ? without.judge(answers) : whole.judge(answers),
  }
}

/** The `lrm` term: P(correct) - 1; -1 for an answer without a thought. */
function createConfidenceTerm(confidences: Confidences, weight: number): RewardTerm {
  return {
    name: 'lrm',
    weight,
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

function termsWithout(parts: JudgeParts, context: JudgeContext): RewardTerm[] {
  const verifierAlone: Weights = { verifier: 1, format: 0 }
  const choices: Weights[] = [context.settings.weights, profileWeights(parts.profile)]
  const usable = choices.find(({ verifier, format }) => verifier + format > 0)
  return termsOf(parts, context, usable ?? verifierAlone)
}

function termsOf(parts: JudgeParts, context: JudgeContext, weights: Weights): RewardTerm[] {
  const verifier = createVerifier({
    weight: weights.verifier,
    ask: parts.verdicts.ask(context.session, (tokens) => {
      context.state.meter.rewardTokens += tokens
    }),
    criteria: parts.verdicts.criteriaFor(context.verdictContext),
    isJudgeable: ({ answer, finish }) =>
      answer !== null && (finish === 'eos' || !parts.profile.format.mustEnd),
  })
  const format = createFormatTerm(parts.formatRules(context.verdictContext.question), weights.format)
  return [verifier, format].filter((term) => term.weight > 0)
}
