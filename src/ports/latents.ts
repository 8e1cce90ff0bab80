/**
 * @file Latents and latent thoughts as plain arrays.
 *
 * Shapes (docs/shapes.md): `S` optimised latent positions, `D` hidden width, `L` layers. A *latent* z_t
 * `[D]` is the last-layer hidden state (after the final norm: the LM head's input) that predicts token x_t
 * (LatentSeek, arXiv 2505.13308, Eq. 1).
 */

/** Latents of `S` positions, row-major `[S, D]`: `length` is S, `width` is D. */
export interface Latents {
  readonly data: Float32Array
  readonly length: number
  readonly width: number
}

/**
 * Latents `[S, D]` or a latent thought `[L + 1, D]` in their stored form: fp16 bits, little-endian, row-major,
 * `2 * rows * width` bytes.
 */
export interface PackedRows {
  readonly bytes: Uint8Array
  readonly rows: number
  readonly width: number
}

/**
 * Latent thought of an answer, row-major `[layers, width]` = `[L + 1, D]`: the states of layers 0 to L (0 =
 * embeddings, L after the final norm), each averaged over the positions that predict the answer's tokens
 * (LTO, arXiv 2509.26314, section 3).
 */
export interface LatentThought {
  readonly data: Float32Array
  readonly layers: number
  readonly width: number
  /**
   * States of the scored layers at the position that predicts the answer's last token, `[K, D]`; absent when the
   * model gives none, or the thought was stored without them.
   */
  readonly last?: Float32Array
  /** Sums over the same positions by the session's `TokenMaps`; absent without these. */
  readonly gated?: GatedSums
  /** Scored states of positions spread evenly over the answer, `[T, K*D]`; absent unless they were asked for. */
  readonly tokens?: Float32Array
}

/** Gated token rewards of one answer: its score is `reward / gate`. */
export interface GatedSums {
  /** Sum over positions of gate x reward. */
  readonly reward: number
  /** Sum over positions of the gate, above 0. */
  readonly gate: number
}

/**
 * Two linear maps of the scored states of a token, `[K*D]`: its reward w_r . h + b_r and its gate
 * sigmoid(w_g . h + b_g) (SWIFT, arXiv 2505.12225).
 */
export interface TokenMaps {
  /** Maps of one version are the same. */
  readonly version: string
  /** w_r and w_g, `[2, K*D]`. */
  readonly weights: Float32Array
  /** b_r and b_g. */
  readonly biases: readonly [number, number]
}

/**
 * Signals of the tokens of an answer under the model's own distribution (temperature 1, before the rules of sampling
 * and the repetition penalty), in nats, one number per token, `[T]` each. NaN for a token that was given, not decoded,
 * and where the model computes NaN.
 */
export interface TokenSignals {
  /** log p(token). */
  readonly logProbabilities: Float32Array
  /** -sum_v p(v) log p(v). */
  readonly entropies: Float32Array
  /** KL(U || p) of the uniform distribution U (self-certainty, arXiv 2502.18581, Eq. 6). */
  readonly selfCertainties: Float32Array
}
