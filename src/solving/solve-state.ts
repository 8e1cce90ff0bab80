/** @file The state that one attempt accumulates, whether it ends with an answer or not. */

import type { Evaluation } from '#algorithms'
import type { CandidateKind } from '#episodes'
import type { Degraded, Solution } from './contract.ts'
import type { Meter } from './meter.ts'

export interface JudgedCandidate {
  readonly kind: CandidateKind
  readonly evaluation: Evaluation
}

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
