/** @file The context that a strategy is given, and the outcome that it returns. */

import type { Evaluation } from '#algorithms'
import type { LatentPair } from '#episodes'
import type { LatentHead, Latents } from '#ports'
import type { Tracer } from '#tracing'
import type { Answers } from './answers.ts'
import type { SolveEvent, Stopped } from './contract.ts'
import type { Memory } from './memory/memory.ts'
import type { Settings } from './settings.ts'
import type { SolveState } from './solve-state.ts'
import type { PolicyStep } from './strategies/follow-policy.ts'

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
  readonly tracer: Tracer
}

/** Latents of one judged answer, for `explain`. */
export interface TrajectoryPoint {
  readonly step: number
  readonly latents: Latents
  readonly evaluation: Evaluation
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
  /** Ids of the episodes whose latents moved the start of the chosen answer; none unless given. */
  readonly ancestors?: readonly string[]
  /** The step that a policy chose after the draft. */
  readonly policy?: PolicyStep
}

/** Turns a question into an answer. @throws ServiceError ABORTED when `context.signal` fires before there is one. */
export type StrategyFunction = (context: SolveContext) => Promise<Outcome>
