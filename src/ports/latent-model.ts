/**
 * @file A language model that returns its latents: sessions, generation and verdict logits. Shapes: `T`
 * tokens of an answer, `D` width, `L` layers.
 */

import type { LatentHead } from './latent-head.ts'
import type { Latents, LatentThought, TokenMaps, TokenSignals } from './latents.ts'

/**
 * Id, within one session, of a token sequence (prompt, or prompt + answer) whose keys and values the engine
 * keeps.
 */
export type SequenceId = number

/** Tokens `from` to `to` (exclusive) of a sequence. */
export interface TokenSpan {
  readonly from: number
  readonly to: number
}

/** Result of continuing one row. */
export interface Continuation {
  /** Sequence that ends with this continuation; it can be continued or scored in turn. */
  readonly sequence: SequenceId
  /** Answer tokens, `T` of them: the given prefix included, EOS included when the answer ended. */
  readonly tokens: readonly number[]
  /**
   * States that predicted the first decoded tokens (after the prefix), at most as many as were requested,
   * `[S, D]`.
   */
  readonly latents: Latents
  /**
   * Latent thought over all of `tokens`, the prefix included; null when it was not requested, or there is no
   * token.
   */
  readonly thought: LatentThought | null
  /** Signals of `tokens`; null when they were not requested. */
  readonly signals: TokenSignals | null
  /** `aborted`: the session was stopped (`stopSignal`) before the end; the tokens decoded until then. */
  readonly finish: 'eos' | 'length' | 'aborted'
  /** Number of tokens decoded for this continuation; the prefix is not decoded. */
  readonly generatedTokens: number
  /** Recurrences that the decoded tokens took together, on a depth-recurrent model; absent on others. */
  readonly recurrences?: number
  /** Number of prompt tokens that were not fed, because an earlier session had left their keys and values; 0 unless given. */
  readonly reusedPromptTokens?: number
}

/** Rules of sampling beside the temperature; each is without effect unless given. */
export interface SamplingRules {
  /**
   * Number of most likely tokens that a sample is drawn from. 0: as many as the engine's bound allows, which is
   * the whole vocabulary if it is small.
   */
  readonly topK?: number
  /** In (0, 1]: a sample is drawn from the most likely tokens whose probabilities first sum up to it. */
  readonly topP?: number
  /** In [0, 1]: least probability of a token, as a share of the greatest one. */
  readonly minP?: number
  /**
   * Above 0: positive logits of tokens that stand in the sequence, prompt included, are divided by it, and
   * negative ones multiplied.
   */
  readonly repetitionPenalty?: number
}

export interface GenerationRow {
  /**
   * Sequence to continue; the prompt unless given. EOS inside the sequence or `prefix` does not end the
   * continuation, so that a judge can be asked after the end of an answer.
   */
  readonly sequence?: SequenceId
  /** Answer tokens to start from; `[]` starts at the end of the sequence. */
  readonly prefix: readonly number[]
  /** 0 takes the most likely token; above 0 samples by inverse CDF from `seed`. */
  readonly temperature: number
  /** Rules of sampling; they do not change the choice at temperature 0. None unless given. */
  readonly sampling?: SamplingRules
  /** Seed of this row's uniforms; the same seed gives the same tokens in any batch. */
  readonly seed: number
  /**
   * Seed of the initial states of a depth-recurrent model, of the prompt's positions too: rows of other seeds think other
   * thoughts (LTO, arXiv 2509.26314). That of the continued sequence unless given, 0 for the prompt. Other models ignore it.
   */
  readonly noise?: number
  /** Upper bound on the number of decoded tokens; the prefix is not counted. */
  readonly maxNewTokens: number
  /** Number of leading latents to return; 0 = none. */
  readonly latents: number
  /** Whether to return the latent thought as well; false unless given. */
  readonly thought?: boolean
  /** Whether to return the signals of the tokens as well; false unless given. */
  readonly signals?: boolean
  /**
   * Upper bound on the positions whose states come with the thought (`LatentThought.tokens`); 0 unless given.
   * Only for a row that decodes nothing (`maxNewTokens` 0): for training, never for an answer.
   */
  readonly tokenStates?: number
  /**
   * Receives the tokens of the row as they are decoded, some after each run, EOS included and without the prefix; all of
   * them have come when `generate` returns. Returns false to end the row: it returns what it has when the current run ends,
   * with `finish: 'aborted'`, and tokens that were decoded meanwhile still come.
   */
  readonly onTokens?: (tokens: readonly number[]) => boolean
}

export interface ScoreRow {
  readonly sequence: SequenceId
  /** Tokens appended to the sequence before the verdict is read; the sequence itself is not changed. */
  readonly suffix: readonly number[]
}

/**
 * View of the model for one request: a prompt, everything decoded after it, and their key/value caches. The
 * methods that compute throw ServiceError ABORTED when the session's signal fires or the session is closed
 * or stopped, and ENGINE_CRASHED when its engine process ends (ENGINE_CRASHED_BY_REQUEST when a row of this session was in
 * the run that did not end); a new session is needed then.
 */
export interface LatentSession {
  /** Number of prompt tokens. */
  readonly promptTokens: number
  /** Sequence of the prompt alone; a chat judge's verdicts are scored on it. */
  readonly prompt: SequenceId
  /**
   * Prefills the prompt and returns the state of its last token, `[D]`: raw, neither centred nor normalised.
   */
  embed(): Promise<Float32Array>
  /**
   * Prefills the prompt and returns the states of layers 0 to L, each averaged over the tokens of a span of the prompt,
   * `[L + 1, D]`. When an earlier prompt began alike, its tokens from the span on are fed again.
   *
   * @throws ServiceError INTERNAL for a span that is empty or not in the prompt; MODEL_UNSUPPORTED when the model gives
   *   no layer states
   */
  pool(span: TokenSpan): Promise<LatentThought>
  /**
   * Continues the prompt or other sequences, all rows in one batch, and returns the continuations in order.
   */
  generate(rows: readonly GenerationRow[]): Promise<readonly Continuation[]>
  /** Returns the logits of `tokens` at the position after each row's suffix, `[rows][tokens.length]`. */
  score(rows: readonly ScoreRow[], tokens: readonly number[]): Promise<readonly Float32Array[]>
  /** Frees every sequence of the session and cancels its calls in flight. Idempotent. */
  close(): void
}

/** Thinking of a depth-recurrent model (Huginn, arXiv 2502.05171), which runs its core again and again on every token. */
export interface Thinking {
  /** Recurrences of a token, from 1 to the limit of the model profile; the profile's number unless given. */
  readonly steps?: number
  /** Whether a token of the answer stops when its state has converged; false unless given. */
  readonly adaptive?: boolean
}

/** Background rows run while no interactive session waits, and in short turns before they would starve. */
export type Priority = 'interactive' | 'background'

export interface SessionOptions {
  /** Key or address of the caller, among whom rows are shared fairly; one for all unless given. */
  readonly caller?: string
  /** Closes the session when it fires. */
  readonly signal: AbortSignal
  /**
   * Stops the session when it fires: continuations in progress return the tokens that they have, with `finish:
   * 'aborted'`, at the end of the current run; all other calls throw ABORTED at once. A process that does not
   * answer in time closes the session.
   */
  readonly stopSignal?: AbortSignal
  /** Time, in ms from now, at which `stopSignal` will fire: runs of the session's rows end by then. */
  readonly stopAfterMs?: number
  /**
   * Whether the session's rows share no run with those of others, and no other isolated session is open at the
   * same time: for a request in whose run an engine process died. `open` waits for its turn. False unless given.
   */
  readonly isolated?: boolean
  /**
   * Maps by which the engine scores the tokens of the session's thoughts (`LatentThought.gated`); none unless
   * given. `open` throws SHAPE_MISMATCH for maps of another width.
   */
  readonly tokenMaps?: TokenMaps | null
  /** Only for a depth-recurrent model: `open` throws REQUEST_INVALID for others, and out of the range of the profile. */
  readonly thinking?: Thinking
  /** `interactive` unless given. */
  readonly priority?: Priority
  /**
   * Time, in ms from now, by which the caller wants to be done; among rows of equal priority the earliest
   * runs first.
   */
  readonly deadlineMs?: number
}

export interface LatentModel {
  /** D. */
  readonly hiddenSize: number
  /** L + 1: number of states in a latent thought; 0 when the model gives no thoughts. */
  readonly thoughtLayers: number
  /** K: number of layers whose states of single tokens are scored; 0 when the model gives no thoughts. */
  readonly scoredLayers: number
  /** Upper bound on the tokens of prompt and answer together. */
  readonly contextLength: number
  readonly eosTokenIds: readonly number[]
  readonly head: LatentHead
  /**
   * Opens a session on a prompt.
   *
   * @throws ServiceError PROMPT_TOO_LONG, ENGINE_OVERLOADED, ENGINE_UNAVAILABLE, ABORTED
   */
  open(prompt: readonly number[], options: SessionOptions): Promise<LatentSession>
}
