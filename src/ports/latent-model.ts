/** @file A language model whose latents can be read: sessions, generation and verdict logits. Shapes: `T` tokens of an answer. */

import type { LatentHead } from './latent-head.ts'
import type { Latents, LatentThought } from './latents.ts'

/** Names, within one session, a token sequence (prompt, or prompt + answer) whose keys and values the engine keeps. */
export type SequenceId = number

export interface Continuation {
  readonly sequence: SequenceId
  /** Answer tokens, the given prefix included, EOS included when the answer ended. */
  readonly tokens: readonly number[]
  /** The states that predicted the first decoded tokens (after the prefix), at most as many as were asked for. */
  readonly latents: Latents
  /** Of all of `tokens`, the prefix included; null when not asked for, or there is no token. */
  readonly thought: LatentThought | null
  readonly finish: 'eos' | 'length' | 'aborted'
  /** Tokens decoded for this continuation (the prefix is not decoded). */
  readonly generatedTokens: number
}

export interface GenerationRow {
  /**
   * What to continue; the prompt unless given. A sequence is continued whatever ends inside it or in `prefix`, as a judge goes
   * on after the answer.
   */
  readonly sequence?: SequenceId
  /** Answer tokens to start from; `[]` starts at the prompt. */
  readonly prefix: readonly number[]
  /** 0 takes the most likely token; above 0 samples by inverse CDF from `seed`. */
  readonly temperature: number
  /** Seeds this row's uniforms; the same seed gives the same tokens whatever else is in the batch. */
  readonly seed: number
  /** Upper bound of decoded tokens, the prefix not counted. */
  readonly maxNewTokens: number
  /** How many leading latents to return (0 = none). */
  readonly latents: number
  /** Return the latent thought as well; false unless given. */
  readonly thought?: boolean
}

export interface ScoreRow {
  readonly sequence: SequenceId
  /** Tokens appended to the sequence before the verdict is read; the sequence itself stays as it was. */
  readonly suffix: readonly number[]
}

/** One request's view of the model: a prompt, everything decoded after it, and their key/value caches. */
export interface LatentSession {
  readonly promptTokens: number
  /** The prompt itself, to score verdicts of a chat judge on. */
  readonly prompt: SequenceId
  /** State of the last prompt token, `[D]`: raw, neither centred nor normalised. Prefills the prompt. */
  embed(): Promise<Float32Array>
  /** Continues the prompt or another sequence, all rows in one batch. @throws ABORTED when the session's signal fires. */
  generate(rows: readonly GenerationRow[]): Promise<readonly Continuation[]>
  /** Logits of `tokens` at the position after each row's suffix, `[rows][tokens.length]`. */
  score(rows: readonly ScoreRow[], tokens: readonly number[]): Promise<readonly Float32Array[]>
  /** Frees every sequence of the session and cancels what still runs. Idempotent. */
  close(): void
}

/** Background work runs while no interactive session wants anything, and in short turns before it would starve. */
export type Priority = 'interactive' | 'background'

export interface SessionOptions {
  readonly signal: AbortSignal
  /** `interactive` unless given. */
  readonly priority?: Priority
  /** Milliseconds from now in which the caller wants to be done; among equals, what is due first runs first. */
  readonly deadlineMs?: number
}

export interface LatentModel {
  readonly hiddenSize: number
  /** L + 1: states that a latent thought has. */
  readonly thoughtLayers: number
  readonly contextLength: number
  readonly eosTokenIds: readonly number[]
  readonly head: LatentHead
  /**
   * Opens a session on a prompt.
   * @throws ServiceError PROMPT_TOO_LONG, ENGINE_OVERLOADED, ENGINE_UNAVAILABLE
   */
  open(prompt: readonly number[], options: SessionOptions): Promise<LatentSession>
}
