/** @file The settings of one request: its own values, and the model profile's defaults for the rest. */

import type { Direction, Momentum, Places } from '#algorithms'
import { type ModelProfile, resolveThinking, type SolveDefaults } from '#engine'
import { ServiceError } from '#errors'
import type { Effort, FusedJudge, Policy, PolicyBand, SamplingRules, Selector, Thinking } from '#ports'
import { SAMPLING_STRATEGIES, type SolveRequest, type VoteWeights } from './contract.ts'

export interface Settings {
  readonly samples: number
  /** Score by which `best-of-n` chooses. */
  readonly selector: Selector
  /** Score that decides between answers of as many votes. */
  readonly ties: Selector
  /** Weights of the votes of `majority`. */
  readonly votes: VoteWeights
  /** Sampling of `majority`, `lto` and `best-of-n`. */
  readonly sampling: Required<SamplingRules> & { readonly temperature: number }
  /** Of a depth-recurrent model; undefined: that of the model profile, or none. */
  readonly thinking: Thinking | undefined
  /** Upper bound on the tokens of one answer; an attempt lowers it to the room that the model's context leaves. */
  readonly answerTokens: number
  /** Upper bound on the tokens of a thought, after which it is closed; infinite unless the profile sets one. */
  readonly thoughtTokens: number
  /** Upper bound on the tokens decoded for the whole request; infinite unless the request set a budget. */
  readonly totalTokens: number
  /** Upper bound on the tokens decoded beside the returned answer; infinite unless the request set a budget. */
  readonly searchTokens: number
  /** Whether the greedy draft is recorded beside samples. */
  readonly keepDraft: boolean
  /** Texts that end an answer. */
  readonly stop: readonly string[]
  /** Null: no limit. */
  readonly maxMs: number | null
  readonly maxIterations: number
  readonly patience: number
  readonly stopReward: number
  readonly admitReward: number
  readonly admitConfidence: number
  readonly direction: Direction
  /** null: those of the strategy, `prefix` of `latentseek` and `entropy` of `fork`. */
  readonly positions: Places | null
  readonly lr: number
  readonly beta1: number
  readonly rho: number
  /** S_max: latent positions that `auto` moves and that an episode keeps. */
  readonly latents: number
  /** M rollouts per update; 1 takes the argmax tokens. */
  readonly rollouts: number
  readonly rolloutTemperature: number
  readonly marginSteps: number
  /** Temperature of the choice of `lto` (beta of Theorem 1): smaller values choose the best sample more often. */
  readonly beta: number
  /** Upper bound on the latent thoughts that an episode keeps. */
  readonly thoughts: number
  /** null: this request retrieves no episodes. */
  readonly retrieval: {
    readonly topK: number
    readonly minSimilarity: number
    readonly temperature: number
  } | null
  /** Rules by which the shifts of retrieved episodes move the start of a search. */
  readonly transfer: {
    readonly momentum: Momentum
    readonly maxShift: number
    /** Whether shifts count only where the tokens of both drafts agree. */
    readonly shifts: 'agreeing' | 'all'
  }
  /** `lazy`: the warm start answers first, and the draft is finished only if that answer fails. */
  readonly draft: 'full' | 'lazy'
  /**
   * What `auto` does after a draft, for the effort of the request: by the policy of the active fused judge, else by that of the
   * profile; null: it searches until an answer passes, where that pays, else samples vote.
   */
  readonly policy: { readonly signal: Policy['signal']; readonly bands: readonly PolicyBand[] } | null
  /** Whether `auto` searches where no policy says otherwise. */
  readonly searchPays: boolean
  readonly weights: { readonly verifier: number; readonly lrm: number; readonly format: number }
}

/** Draws from the model's own distribution. */
const PLAIN_SAMPLING = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 } as const

/**
 * Resolves a validated request against the profile, field by field.
 *
 * `budget.maxNewTokens` bounds all tokens decoded for the request (and so every single answer); without it each answer is
 * bounded by the profile's `maxNewTokens`, and the request by its iterations or samples. With `budget.maxSearchTokens` the draft
 * is decoded whole before anything else, so that there is an answer beside which the rest is counted.
 *
 * @param defaultMaxMs time of a request without `budget.maxMs`; null: no limit
 * @param judge the active fused judge; null for none
 * @throws ServiceError REQUEST_INVALID when no weight of the reward is above 0, or the verifier shall select and has none
 */
export function resolveSettings(
  request: SolveRequest,
  profile: ModelProfile,
  defaultMaxMs: number | null,
  judge: Pick<FusedJudge, 'policy'> | null = null,
): Settings {
  const { defaults } = profile
  const { budget = {} } = request
  const effort = budgetsOf(request.effort, defaults)
  // A caller who weighs the reward wants to choose by it.
  const untrained = Object.keys(request.reward ?? {}).length === 0 ? defaults.selector : 'reward'
  const searchTokens = budget.maxSearchTokens ?? effort.maxSearchTokens ?? Number.POSITIVE_INFINITY
  return {
    samples: request.samples ?? effort.samples,
    selector: request.selector ?? (judge === null ? untrained : 'judge'),
    ties: untrained,
    votes: request.weights ?? 'none',
    sampling: { ...PLAIN_SAMPLING, ...defaults.sampling, ...request.sampling },
    thinking: readThinking(request, profile),
    answerTokens: budget.maxAnswerTokens ?? budget.maxNewTokens ?? defaults.maxNewTokens,
    thoughtTokens: defaults.maxThoughtTokens ?? Number.POSITIVE_INFINITY,
    totalTokens: budget.maxNewTokens ?? Number.POSITIVE_INFINITY,
    searchTokens,
    keepDraft: request.keepDraft === true && SAMPLING_STRATEGIES.has(request.strategy),
    stop: request.stop ?? [],
    maxMs: budget.maxMs ?? defaultMaxMs,
    maxIterations: budget.maxIterations ?? effort.maxIterations,
    patience: effort.patience,
    stopReward: defaults.stopReward,
    admitReward: defaults.admitReward,
    admitConfidence: defaults.admitConfidence,
    direction: request.direction ?? defaults.direction,
    positions: request.positions ?? defaults.positions ?? null,
    lr: defaults.lr,
    beta1: defaults.beta1,
    rho: defaults.rho,
    latents: defaults.latents,
    rollouts: defaults.rollouts,
    rolloutTemperature: defaults.rolloutTemperature,
    marginSteps: defaults.marginSteps,
    beta: defaults.beta,
    thoughts: defaults.thoughts,
    retrieval: resolveRetrieval(request, profile),
    transfer: { momentum: defaults.momentum, maxShift: defaults.maxShift, shifts: defaults.shifts },
    draft: Number.isFinite(searchTokens) ? 'full' : defaults.draft,
    searchPays: defaults.searchPays,
    policy: resolvePolicy(request, defaults.searchPays ? null : judge?.policy, defaults.policy),
    weights: resolveWeights(request, profile),
  }
}

/** @throws ServiceError REQUEST_INVALID for thinking that the model cannot do */
function readThinking({ thinking }: SolveRequest, { recurrence }: ModelProfile): Settings['thinking'] {
  const asked = thinking === 'adaptive' ? { adaptive: true } : thinking
  resolveThinking(recurrence, asked)
  return asked
}

/** Whether a strategy chooses by the latent reward model, whatever its weight in the reward. */
export function choosesByRewardModel(
  { strategy }: Pick<SolveRequest, 'strategy'>,
  { selector, votes }: Pick<Settings, 'selector' | 'votes'>,
): boolean {
  if (strategy === 'best-of-n') return selector === 'lrm'
  return strategy === 'lto' || (strategy === 'majority' && votes === 'lrm')
}

/** Shares of the profile's budgets. */
const EFFORT_SHARES: Readonly<Record<Effort, number>> = { minimal: 1 / 4, low: 1 / 2, medium: 1, high: 2 }
const MAX_ITERATIONS = 256
const MAX_SAMPLES = 64

/**
 * Returns the budgets of an effort: those that the profile names for it, else a share of the profile's defaults. A request
 * without an effort has the defaults.
 */
function budgetsOf(effort: Effort | undefined, { efforts, ...defaults }: SolveDefaults) {
  const factor = effort === undefined ? 1 : EFFORT_SHARES[effort]
  const share = (value: number, max: number) => Math.min(max, Math.ceil(value * factor))
  return {
    maxIterations: share(defaults.maxIterations, MAX_ITERATIONS),
    patience: share(defaults.patience, MAX_ITERATIONS),
    samples: share(defaults.samples, MAX_SAMPLES),
    ...(effort !== undefined && efforts?.[effort]),
  }
}

/** Whether the fused judge may decide which answer is returned: as selector, by its votes, or by when a search stops. */
export function usesJudge(
  { strategy }: Pick<SolveRequest, 'strategy'>,
  { selector, votes }: Pick<Settings, 'selector' | 'votes'>,
): boolean {
  if (strategy === 'best-of-n') return selector === 'judge'
  if (strategy === 'majority') return votes === 'judge'
  return strategy !== 'greedy' && strategy !== 'lto'
}

export function profileWeights({ defaults }: ModelProfile): Settings['weights'] {
  const { verifier = 1, lrm = 0, format = 2 } = defaults.rewardWeights
  return { verifier, lrm, format }
}

function resolveWeights(request: SolveRequest, profile: ModelProfile): Settings['weights'] {
  const { reward = {} } = request
  const weights = { ...profileWeights(profile), ...reward }
  if (weights.verifier === 0 && request.strategy === 'best-of-n' && request.selector === 'verifier') {
    const detail = 'expected a weight of the verifier above 0 where it selects: it is not asked otherwise'
    throw new ServiceError('REQUEST_INVALID', `reward: ${detail}`, {
      faults: [{ pointer: '/reward/verifier', detail }],
    })
  }
  if (weights.verifier + weights.lrm + weights.format > 0) return weights
  const detail = 'expected a weight above 0, counting those of the model profile'
  throw new ServiceError('REQUEST_INVALID', `reward: ${detail}`, { faults: [{ pointer: '/reward', detail }] })
}

/** The first of the policies that has bands for the effort. */
function resolvePolicy(
  { strategy, effort = 'medium' }: SolveRequest,
  ...policies: readonly (Policy | null | undefined)[]
): Settings['policy'] {
  if (strategy !== 'auto') return null
  for (const policy of policies) {
    const bands = policy?.[effort]
    if (policy && bands) return { signal: policy.signal, bands }
  }
  return null
}

function resolveRetrieval(request: SolveRequest, { defaults }: ModelProfile): Settings['retrieval'] {
  if (request.retrieval === false) return null
  const topK = request.retrieval?.topK ?? defaults.topK
  if (topK === 0) return null
  return {
    topK,
    minSimilarity: request.retrieval?.minSimilarity ?? defaults.minSimilarity,
    temperature: defaults.retrievalTemperature,
  }
}
