/** @file The reward of one request: the profile's verifier and format rules under the request's weights. */

import {
  createFormatTerm,
  createRewardJudge,
  createVerifier,
  type Judge,
  type LatentSession,
} from '#algorithms'
import type { ModelProfile } from '#engine'
import type { createFormatRules } from './format-rules.ts'
import type { Meter } from './meter.ts'
import type { Settings } from './settings.ts'
import type { Degraded } from './types.ts'
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
  readonly meter: Meter
  readonly degraded: Set<Degraded>
}

/**
 * Terms with weight 0 are not asked. There is no latent reward model yet: its weight is dropped, the others are normalised
 * without it, and `lrm` is named in `degraded`; where nothing else was asked for, the verifier stands in.
 */
export function buildJudge(parts: JudgeParts, context: JudgeContext): Judge {
  const { weights } = context.settings
  if (weights.lrm > 0) context.degraded.add('lrm')
  const verifier = weights.verifier + weights.format > 0 ? weights.verifier : 1
  const terms = [
    createVerifier({
      weight: verifier,
      ask: parts.verdicts.ask(context.session, (tokens) => {
        context.meter.rewardTokens += tokens
      }),
      criteria: parts.verdicts.criteriaFor(context.verdictContext),
      isJudgeable: ({ answer, finish }) =>
        answer !== null && (finish === 'eos' || !parts.profile.format.mustEnd),
    }),
    createFormatTerm(parts.formatRules(context.verdictContext.question), weights.format),
  ]
  return createRewardJudge(terms.filter((term) => term.weight > 0))
}
