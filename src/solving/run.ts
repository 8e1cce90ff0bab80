/** @file One attempt at a request: what its steps share, and what a strategy makes of it. */

import type { Evaluation, Judge, Judgement } from '#algorithms'
import type { Engine } from '#engine'
import type { CandidateKind, EpisodeStore, LatentPair } from '#episodes'
import type { LatentRewardModel, LatentSession, Latents, Weaver } from '#ports'
import type { AnswerFormat } from './answer-format.ts'
import type { Confidences } from './confidences.ts'
import type { Meter } from './meter.ts'
import type { Settings } from './settings.ts'
import type { SolverLogger } from './solver-logger.ts'
import type { Degraded, Solution, SolveEvent, SolveRequest, Stopped } from './types.ts'

export interface JudgedCandidate {
  readonly kind: CandidateKind
  readonly evaluation: Evaluation
}

/** What is known of an attempt before the engine has let it in, and after it has gone. */
export interface RunRecord {
  readonly request: SolveRequest
  readonly settings: Settings
  readonly seed: number
  readonly engine: Engine
  readonly episodes: EpisodeStore | null
  readonly weaver: Weaver
  /** Null until a night has trained one. */
  readonly rewardModel: LatentRewardModel | null
  readonly confidences: Confidences
  readonly answerFormat: AnswerFormat
  /** Most tokens of one answer in this context. */
  readonly answerTokens: number
  readonly promptTokens: number
  /** Fires when the caller went away or the time is up. */
  readonly signal: AbortSignal
  readonly logger: SolverLogger
  readonly meter: Meter
  readonly emit: (event: SolveEvent) => void
  /** Everything that was judged, in order. */
  readonly candidates: JudgedCandidate[]
  readonly degraded: Set<Degraded>
}

export interface Run extends RunRecord {
  readonly session: LatentSession
  readonly judge: Judge
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
  readonly evaluations: number
  readonly rewardHistory: readonly number[]
  readonly retrieved: Solution['retrieved']
  /** Centred and normalised; null when nothing asked for it. */
  readonly embedding: Float32Array | null
  /** What an episode keeps of this answer; null when it must not steer others. */
  readonly latents: LatentPair | null
  readonly trajectory: readonly TrajectoryPoint[]
}

/** Turns a question into an answer. @throws ServiceError ABORTED when `run.signal` fires before there is any. */
export type StrategyFunction = (run: Run) => Promise<Outcome>

/** Of an answer that time ran out on: the lowest reward, and no terms that could be mistaken for a verdict. */
export const UNJUDGED: Judgement = { reward: -1, terms: {}, correctness: null }

export function outOfTokens(run: RunRecord): boolean {
  return run.meter.generatedTokens >= run.settings.totalTokens
}

/** How many tokens each of `rows` answers may still decode, `prefix` of them being there already. */
export function allowance(run: RunRecord, rows: number, prefix: number): number {
  const share = Math.floor((run.settings.totalTokens - run.meter.generatedTokens) / rows)
  return Math.max(0, Math.min(run.answerTokens - prefix, share))
}
