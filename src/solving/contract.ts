/** @file The request, the solution and the events of a solve, as callers see them. Field names are those of the HTTP contract. */

import type { Direction, Places } from '#algorithms'
import type { AnswerKeys } from '#episodes'
import type { Effort, Policy, Selector } from '#ports'
import type { TextPiece } from './answer-text.ts'

/** The part of a pino logger that solving uses. */
export interface SolverLogger {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

/** Upper bounds, in ms, on the time that a request waits for the episode store. */
export interface StoreTimeouts {
  readonly retrievalMs: number
  /** A budget of the request (`maxMs`) may leave less, but at least 250 ms. */
  readonly commitMs: number
}

export const STRATEGIES = ['auto', 'greedy', 'latentseek', 'majority', 'lto', 'best-of-n', 'fork'] as const
export type Strategy = (typeof STRATEGIES)[number]

/** Weights of the votes of `majority`: all equal, or P(correct) by a trained model. */
export const VOTE_WEIGHTS = ['none', 'lrm', 'judge'] as const
export type VoteWeights = (typeof VOTE_WEIGHTS)[number]

/** Turn of a conversation before the question. */
export interface ContextTurn {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Thought of an assistant's turn, for templates that repeat it. */
  readonly reasoning?: string
}

/** Strategies that sample answers; the others take the most likely tokens. */
export const SAMPLING_STRATEGIES: ReadonlySet<Strategy> = new Set<Strategy>(['majority', 'lto', 'best-of-n'])

export interface SolveRequest {
  readonly tenantId: string
  readonly question: string
  /** Turns before the question, in order; none unless given. */
  readonly context?: readonly ContextTurn[]
  /** Texts at the first of which an answer ends, itself left out; none unless given. */
  readonly stop?: readonly string[]
  /** Sets the budgets that the request does not; those of the model profile unless given. */
  readonly effort?: Effort
  readonly strategy: Strategy
  /** Number of samples of `majority`, `lto` and `best-of-n`, of branches of `fork`; the model profile's unless given. */
  readonly samples?: number
  /** Score by which `best-of-n` chooses; `judge` unless given. */
  readonly selector?: Selector
  /** Weights of the votes of `majority`; `none` unless given. */
  readonly weights?: VoteWeights
  /** Sampling of these strategies; the model profile's unless given, field by field. */
  readonly sampling?: {
    readonly temperature?: number
    readonly topK?: number
    readonly topP?: number
    readonly minP?: number
    readonly repetitionPenalty?: number
  }
  /**
   * Of a depth-recurrent model: recurrences of every token, or as many as its state needs to converge, at most those of the
   * model profile; the profile's number unless given. Other models refuse it.
   */
  readonly thinking?: { readonly steps: number } | 'adaptive'
  readonly budget?: {
    readonly maxIterations?: number
    readonly maxNewTokens?: number
    readonly maxAnswerTokens?: number
    readonly maxSearchTokens?: number
    readonly maxMs?: number
  }
  readonly retrieval?: { readonly topK?: number; readonly minSimilarity?: number } | false
  readonly weaver?: boolean
  /** Direction of every update of the search; the model profile's unless given. */
  readonly direction?: Direction
  /** Places at which `fork` branches and `latentseek` begins; the model profile's unless given. */
  readonly positions?: Places
  readonly reward?: { readonly verifier?: number; readonly lrm?: number; readonly format?: number }
  /** A known answer: becomes the episode's label; never shown to the model, never used to choose. */
  readonly reference?: string
  readonly learn: boolean
  /**
   * Whether `majority`, `lto` and `best-of-n` also decode the greedy draft, in the batch of the samples. It becomes a candidate of
   * the episode, beside which the samples can be measured; it is never returned. false unless given.
   */
  readonly keepDraft?: boolean
  readonly seed?: number
  readonly explain: boolean
}

export type Stopped = 'reward' | 'maxIterations' | 'maxNewTokens' | 'maxMs' | 'noImprovement' | 'single'
export type Degraded = 'retrieval' | 'weaver' | 'learning' | 'lrm' | 'judge'

export interface SolutionCandidate {
  readonly kind: 'draft' | 'regeneration' | 'sample'
  /** Whole text that the model wrote, its thought included. */
  readonly text: string
  readonly answer: string | null
  readonly reward: number
  readonly rewardTerms: Readonly<Record<string, number>>
  /**
   * Mean log-probability of its decoded tokens under the model's own distribution (temperature 1, before the rules of
   * sampling), in nats; null when it is not known.
   */
  readonly logProbability: number | null
  /** Mean self-certainty of its decoded tokens, in nats: KL divergence of the uniform distribution from the model's own. */
  readonly selfCertainty: number | null
  /** P(correct) by the fused judge, in [0, 1]; null while none is active. */
  readonly confidence: number | null
  /** P(correct) by the latent reward model, in [0, 1], which the fused judge weighs; null where it was not asked. */
  readonly lrm: number | null
  readonly tokens: number
}

export interface Solution {
  readonly id: string
  readonly episodeId: string | null
  readonly answer: string | null
  readonly reasoning: string
  /** Whole text that the model wrote, without its thought. */
  readonly text: string
  /** Thought of a model that thinks before it answers, without its tags; null when it did not think. */
  readonly thought: string | null
  /** How the text ended: by itself or a stop sequence, by a limit on tokens, or by the time; null without a text. */
  readonly finish: 'end' | 'length' | 'time' | null
  readonly reward: number
  /**
   * Calibrated P(correct) of the answer in [0, 1] by the fused judge, else by the latent reward model; null without
   * either.
   */
  readonly confidence: number | null
  readonly stopped: Stopped
  readonly strategy: Strategy
  readonly base: { readonly answer: string | null; readonly reward: number } | null
  readonly improved: boolean
  readonly iterations: number
  /** Answers judged after the draft. */
  readonly evaluations: number
  readonly rewardHistory: readonly number[]
  readonly retrieved: readonly {
    readonly episodeId: string
    readonly similarity: number
    readonly weight: number
  }[]
  readonly model: {
    readonly id: string
    readonly fingerprint: string
    readonly weaverVersion: string | null
    readonly lrmVersion: string | null
    readonly judgeVersion: string | null
  }
  readonly seed: number
  readonly usage: {
    readonly promptTokens: number
    readonly cachedTokens: number
    readonly completionTokens: number
    readonly generatedTokens: number
    readonly rewardTokens: number
    /** Recurrences of the generated tokens, of a depth-recurrent model only. */
    readonly recurrences?: number
  }
  readonly timings: {
    readonly queueMs: number
    readonly retrieveMs: number
    readonly draftMs: number
    readonly optimizeMs: number
    readonly rewardMs: number
    readonly totalMs: number
  }
  readonly degraded: readonly Degraded[]
  /**
   * Where callers called the same answer wrong when the same question came before, and no other answer was found: id of the
   * newest episode that gave it.
   */
  readonly refutedBy?: string
  /** Where a policy, of the fused judge or of the profile, chose what `auto` did after the draft. */
  readonly policy?: {
    readonly strategy: Strategy
    /** Lowest P(correct) of the band that the draft fell in. */
    readonly from: number
    /** P(correct) that the policy is about: that of the verifier, or that of the fused judge. */
    readonly signal: Policy['signal']
    /** P(correct) of the draft by the signal. */
    readonly confidence: number
  }
  /** With `explain`: every judged answer. */
  readonly candidates?: readonly SolutionCandidate[]
  /** With `explain`: the latents of every evaluation, projected to two dimensions. */
  readonly latents?: readonly {
    readonly step: number
    readonly x: number
    readonly y: number
    readonly reward: number
    /** Answer that the latents decode to, and its text. */
    readonly answer: string | null
    readonly text: string
  }[]
}

/** An event of a solve. Events are emitted in the order in which they happen. */
export type SolveEvent =
  | { readonly event: 'retrieval'; readonly data: { readonly retrieved: Solution['retrieved'] } }
  | { readonly event: 'tokens'; readonly data: TextPiece }
  | {
      readonly event: 'draft'
      readonly data: { readonly answer: string | null; readonly reasoning: string; readonly reward: number }
    }
  | {
      readonly event: 'iteration'
      readonly data: {
        readonly step: number
        readonly reward: number
        readonly changed: boolean
        readonly answer: string | null
      }
    }
  | { readonly event: 'candidate'; readonly data: SolutionCandidate }

/** Tokens of a request that its caller has cancelled. */
export type CancelledUsage = Pick<Solution['usage'], 'promptTokens' | 'generatedTokens' | 'rewardTokens'>

export interface SolveOptions {
  /** Fires when the caller disconnects: the work stops within one chunk of tokens and `solve` throws ABORTED. */
  readonly signal: AbortSignal
  readonly onEvent?: (event: SolveEvent) => void
  /** Called before `solve` throws ABORTED for a caller that has disconnected, with what was used until then. */
  readonly onCancelled?: (usage: CancelledUsage) => void
  /** Key or address of the caller, among whom the engine is shared fairly; one for all unless given. */
  readonly caller?: string
  /** Logger of the request, which binds its id to every line; the solver's own unless given. */
  readonly logger?: SolverLogger
  /** Id of the request; its episode's job carries it. */
  readonly requestId?: string
  /** Id of the solution and its episode; a new one unless given. An episode that has it already stays as it is. */
  readonly id?: string
}

/** A question whose neighbours are wanted. */
export interface RecallRequest {
  readonly tenantId: string
  readonly question: string
  readonly topK: number
  /** Lower bound on the cosine similarity, in [-1, 1]. */
  readonly minSimilarity: number
}

export interface Recalled {
  /** Most similar first. */
  readonly neighbours: readonly { readonly episodeId: string; readonly similarity: number }[]
  readonly promptTokens: number
}

export interface Solver {
  /** Id of the model. */
  readonly modelId: string
  /**
   * Refuses what `solve` would refuse before it opens a session, so that a question for later is refused at once.
   *
   * @throws ServiceError REQUEST_INVALID for thinking that the model cannot do, a reference without an answer, and weights
   * of the reward that are all 0
   */
  check(request: SolveRequest): void
  /**
   * Solves one question and commits its episode.
   *
   * @throws ServiceError REQUEST_INVALID (what `check` refuses, a context that the chat template does not take),
   * PROMPT_TOO_LONG, ENGINE_OVERLOADED,
   * ENGINE_CRASHED (after several retries), ENGINE_CRASHED_BY_REQUEST (after a retry alone), ENGINE_UNAVAILABLE, ABORTED
   */
  solve(request: SolveRequest, options: SolveOptions): Promise<Solution>
  /**
   * Returns the episodes that `solve` would retrieve for a question with these bounds: embeds the question as `solve`
   * does, decodes nothing and keeps nothing.
   *
   * @throws ServiceError PROMPT_TOO_LONG, ENGINE_OVERLOADED, ENGINE_CRASHED, ENGINE_CRASHED_BY_REQUEST,
   * ENGINE_UNAVAILABLE, STORE_UNAVAILABLE, ABORTED
   */
  recall(request: RecallRequest, options: Pick<SolveOptions, 'signal' | 'caller'>): Promise<Recalled>
  /** Reads a caller's answer as the model profile reads the model's, for feedback and references. */
  readonly answerKeys: AnswerKeys
}
