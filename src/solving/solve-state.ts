/** @file The state that one attempt accumulates, whether it ends with an answer or not. */

import type { Evaluation } from '#algorithms'
import type { CandidateKind } from '#episodes'
import type { Degraded, Solution, SolutionCandidate } from './contract.ts'
import type { Meter } from './meter.ts'
import { meanSignals } from './signals.ts'

export interface JudgedCandidate {
  readonly kind: CandidateKind
  readonly evaluation: Evaluation
}

/** Answers that callers called wrong, by key: the id of the newest episode that gave each. */
export type RefutedAnswers = ReadonlyMap<string, string>

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

/** The answers of a request that the model gave by itself, as far as they are judged. */
export function draftAndSamples({ candidates }: Pick<SolveState, 'candidates'>): readonly Evaluation[] {
  return candidates.filter(({ kind }) => kind !== 'regeneration').map(({ evaluation }) => evaluation)
}

/** Returns a candidate as answers and events show it. */
export function describeCandidate({ kind, evaluation }: JudgedCandidate): SolutionCandidate {
  const { answer, judgement } = evaluation
  return {
    kind,
    text: answer.text,
    answer: answer.answer,
    reward: judgement.reward,
    rewardTerms: judgement.terms,
    ...meanSignals(answer.signals),
    confidence: judgement.fused ?? null,
    lrm: judgement.lrm ?? null,
    tokens: answer.tokens.length,
  }
}
