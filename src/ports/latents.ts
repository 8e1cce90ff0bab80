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
}
