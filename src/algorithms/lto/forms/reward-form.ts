/**
 * @file Interface of a form of the reward model: what it reads of an answer's thought, and the networks that are
 * trained on it.
 */

import type { Tape } from '#onnx'
import type { LatentThought } from '#ports'
import type { ParameterDraft } from '../../training/layers.ts'
import type { Standardisation, StateRows } from '../standardise.ts'

export type FormName = 'mean' | 'last' | 'gated'
export type NetworkKind = 'linear' | 'transformer' | 'mlp' | 'gated'

export interface RewardArchitecture {
  readonly kind: NetworkKind
  /** T: the largest number of rows of an input; L + 1 for a latent thought. */
  readonly layers: number
  /** D: width of a row. */
  readonly width: number
  /** H: width inside the transformer, a multiple of `heads`, and of the perceptron. */
  readonly hidden: number
  readonly heads: number
  readonly blocks: number
  readonly feedForward: number
}

/** Emits dropout on `[N, T, H]` in blocks and on `[N, H]` in the head; returns the name of the result. */
export type Dropout = (tape: Tape, values: string) => string

/** Names of the values that a network reads on a tape. */
interface NetworkInput {
  /** Standardised rows, 0 where there is padding: float32 [N, T, D]. */
  readonly standard: string
  /** Bool [N, T, 1]: false for padding. */
  readonly isState: string
  /** 1 and 0 of the same. */
  readonly mask: string
  /** Prefix of the names of its parameters. */
  readonly scope: string
  readonly dropout: Dropout
}

export interface Network {
  /**
   * Learning rate of a network that is small and nearly convex: it trains without dropout, and alone. Null: it trains
   * by the options.
   */
  readonly smallLr: number | null
  /** Adds its initial parameters. */
  draft(draft: ParameterDraft, architecture: RewardArchitecture): void
  /** Emits its logits, float32 [N]. */
  emit(tape: Tape, input: NetworkInput, architecture: RewardArchitecture): string
  /** Returns the shapes of its dropout masks, in order of use. */
  masks(architecture: RewardArchitecture, batch: number): readonly (readonly number[])[]
}

export interface RewardForm {
  /** Kinds of its networks, smallest first. */
  readonly networks: readonly NetworkKind[]
  /** Returns what its networks read of a thought, without a copy; null when the thought does not have it. */
  inputOf(thought: LatentThought): StateRows | null
  /** Computes the constants that standardise inputs of at most `layers` rows. */
  standardise(inputs: readonly StateRows[], layers: number, width: number): Promise<Standardisation>
}
