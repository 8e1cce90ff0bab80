/** @file What a strategy is given, and what it returns. */

import type { Evaluation, Judgement } from '#algorithms'
import type { CandidateKind, LatentPair } from '#episodes'
import type { LatentHead, Latents } from '#ports'
import type { Answers } from './answers.ts'
import type { Degraded, Solution, SolveEvent, Stopped } from './contract.ts'
import type { Memory } from './memory/memory.ts'
import type { Meter } from './meter.ts'
import type { Settings } from './settings.ts'

/** The part of a pino logger that solving uses. */
export interface SolverLogger {
  warn(details: object, message: string): void
}

export interface JudgedCandidate {
  readonly kind: CandidateKind
  readonly evaluation: Evaluation
}

/** What one attempt accumulates, whether it ends with an answer or not. */
export interface SolveState {
  /** Tokens and milliseconds spent so far. */
  readonly meter: Meter
  /** Every judged answer, in order. */
  readonly candidates: JudgedCandidate[]
  /** Parts that failed and that the request went on without. */
  readonly degraded: Set<Degraded>
  /** The neighbours that memory returned. */
  retrieved: Solution['retrieved']
}

export interface SolveContext {
  readonly settings: Settings
  readonly seed: number
  /** Fires when the caller disconnects or the time is up. */
  readonly signal: AbortSignal
  readonly emit: (event: SolveEvent) => void
  /** Decodes, judges, counts and records answers. */
  readonly answers: Answers
  /** Finds earlier episodes, and selects the latents that a new one keeps. */
  readonly memory: Memory
  /** The LM head, through which a search moves latents. */
  readonly head: LatentHead
  readonly eosTokenIds: readonly number[]
  readonly state: SolveState
}

/** Latents of one judged answer, for `explain`. */
export interface TrajectoryPoint {
  readonly step: number
  readonly latents: Latents
  readonly reward: number
}

export interface Outcome {
  /** null: the time was up before anything was decoded. */
  readonly chosen: Evaluation | null
  /** The draft; null for a strategy that has none. */
  readonly base: Evaluation | null
  readonly stopped: Stopped
  readonly iterations: number
  /** Answers judged after the draft. */
  readonly evaluations: number
  readonly rewardHistory: readonly number[]
  /** z_base and z* for the episode; null when this answer must not influence others. */
  readonly latents: LatentPair | null
  readonly trajectory: readonly TrajectoryPoint[]
}

/** Turns a question into an answer. @throws ServiceError ABORTED when `context.signal` fires before there is one. */
export type StrategyFunction = (context: SolveContext) => Promise<Outcome>

/** The judgement of an answer that the time ran out on: the lowest reward, and no terms that could pass for a verdict. */
export const UNJUDGED: Judgement = { reward: -1, terms: {}, correctness: null }
