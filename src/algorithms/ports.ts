/**
 * @file What the algorithms need from the rest of the world, and no more.
 *
 * Shapes (docs/shapes.md): `T` tokens of an answer, `S` optimised latent positions, `D` hidden width, `M` rollouts.
 * A *latent* z_t `[D]` is the last-layer hidden state (after the final norm: the LM head's input) that predicts
 * token x_t (LatentSeek, arXiv 2505.13308, Eq. 1).
 */

import type { Tensor } from '#tensor'

/** Latents of `S` positions, row-major `[S, D]`. */
export interface Latents {
  readonly data: Float32Array
  readonly length: number
  readonly width: number
}

/**
 * The latent thought of an answer, row-major `[layers, width]` = `[L + 1, D]`: the states of layers 0 to L (0 = embeddings, L after
 * the final norm), each averaged over the positions that predict the answer's tokens (LTO, arXiv 2509.26314, section 3).
 */
export interface LatentThought {
  readonly data: Float32Array
  readonly layers: number
  readonly width: number
}

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

/** First and second moments of Adam and the number of updates done so far. */
export interface AdamState {
  readonly m: Float32Array
  readonly v: Float32Array
  readonly step: number
}

export interface AscentOptions {
  readonly lr: number
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly temperature: number
}

export interface AscentRequest extends AscentOptions {
  readonly latents: Latents
  readonly adam: AdamState
  /** Token actions a, `M` rollouts of `S` tokens each. */
  readonly actions: readonly (readonly number[])[]
  /** Advantage A_m of each rollout. */
  readonly advantages: readonly number[]
  /** Stop early once argmax(z) differs from `actions[0]` ("until the tokens change"), or after this many updates. */
  readonly maxSteps: number
  readonly untilChanged: boolean
}

export interface AscentResult {
  readonly latents: Latents
  readonly adam: AdamState
  /** Updates done by this call. */
  readonly steps: number
  /** argmax of the LM head at the new latents, `S` tokens. */
  readonly tokens: readonly number[]
}

/** The LM head alone: the only part of the model that LatentSeek differentiates (LatentSeek Eq. 6-7). */
export interface LatentHead {
  /** Adam ascent of (1/M) sum_m A_m sum_t log p(a_t^m | z_t) on the latents. */
  ascend(request: AscentRequest, signal: AbortSignal): Promise<AscentResult>
  /** argmax tokens of the LM head, `S` of them. */
  decode(latents: Latents, signal: AbortSignal): Promise<readonly number[]>
  /** `M` token actions sampled from softmax(head(z)/temperature), `[M][S]`; seeded. */
  sample(
    latents: Latents,
    options: { readonly rollouts: number; readonly temperature: number; readonly seed: number },
    signal: AbortSignal,
  ): Promise<readonly (readonly number[])[]>
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

/** A remembered episode near a query. */
export interface Neighbour {
  readonly episodeId: string
  /** Cosine similarity of the centred, normalised embeddings, in [-1, 1]. */
  readonly similarity: number
  readonly zBase: Latents
  readonly zStar: Latents
  /** Its query embedding, centred and normalised, `[D]`: what a trained weaver needs to recompute its shift. */
  readonly embedding?: Float32Array
}

export interface NeighbourQuery {
  readonly tenantId: string
  readonly fingerprint: string
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly topK: number
  readonly minSimilarity: number
  /** Episodes that are passed over, as if they had never been; none unless given. */
  readonly exclude?: readonly string[]
}

export interface EpisodeMemory {
  /** The `topK` most similar admitted episodes of the same tenant and model, most similar first. */
  nearest(query: NeighbourQuery): Promise<readonly Neighbour[]>
}

/** W_psi of LatentEvolve (arXiv 2509.24771, Eq. 7): from a query and its first latents to where good answers start. */
export interface Weaver {
  /** Version of the trained artifact; null for the identity, which stands in until a night has trained one. */
  readonly version: string | null
  /**
   * z'_base = W(e_c, z_base) of every row, each the shape of its `zBase`, in one run.
   * @throws ServiceError SHAPE_MISMATCH when a row has another width than it was trained on, SESSION_FAILED, ENGINE_CRASHED
   */
  apply(rows: readonly WeaverRow[]): Promise<readonly Latents[]>
}

export interface WeaverRow {
  /** Centred and normalised, `[D]`. */
  readonly embedding: Float32Array
  readonly zBase: Latents
}

/** P(correct) from how an answer was thought (LTO, arXiv 2509.26314, section 3). */
export interface LatentRewardModel {
  /** Version of the trained artifact. */
  readonly version: string
  /** Calibrated P(correct) in [0, 1], in order. @throws ServiceError ARTIFACT_INVALID when a score is not a number in [0, 1] */
  score(thoughts: readonly LatentThought[]): Promise<readonly number[]>
}

export interface LoadOptions {
  /** Inputs that stay with the graph between runs (weights, moments, a data set): given once, never fed. */
  readonly state?: Readonly<Record<string, Tensor>>
  /** After every run state `name` becomes output `carry[name]`. Outputs that are only carried are not returned. */
  readonly carry?: Readonly<Record<string, string>>
}

/** An ONNX graph in an engine process. */
export interface LoadedGraph {
  /** One run. @throws ServiceError SESSION_FAILED, ENGINE_CRASHED */
  run<Name extends string>(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: readonly Name[],
  ): Promise<Readonly<Record<Name, Tensor>>>
  /** State as it is now. */
  read<Name extends string>(names: readonly Name[]): Promise<Readonly<Record<Name, Tensor>>>
  /** Idempotent; runs in flight finish. */
  close(): Promise<void>
}

/** Runs graphs of this project's making, trained or training, on the execution provider that serves. */
export interface GraphRunner {
  /**
   * @throws ServiceError SESSION_FAILED when ONNX Runtime refuses the graph, GRAPH_PRECONDITION when state or carry do not fit
   * it or this runner carries nothing, ENGINE_UNAVAILABLE, ENGINE_CRASHED
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<LoadedGraph>
}
