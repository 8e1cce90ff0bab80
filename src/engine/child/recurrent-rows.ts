/**
 * @file Rows of a depth-recurrent model: how long each thinks, and the noise that its states begin with.
 *
 * s_0 of a position depends on the seed and the position alone. A row therefore has the same states alone and in any
 * batch, fed at once or in pieces; and a cache belongs to the seed that it was computed with.
 */

import { createRandom, createTensor, type Tensor } from '#tensor'

/** Core of a depth-recurrent model. */
export interface RecurrentCore {
  /** R. */
  readonly maxSteps: number
  /** D of the states. */
  readonly stateSize: number
  /** Standard deviation of s_0. */
  readonly stateSigma: number
}

/** Thinking of one row. */
export interface RowRecurrence {
  /** Recurrences of every position, 1 to R. */
  readonly steps: number
  /**
   * Relative change of the state at or below which a position that predicts an answer token stops; null: never. Positions
   * that are only fed always take all steps.
   */
  readonly tolerance: number | null
  /** Seed of s_0. */
  readonly noise: number
}

/** Inputs of the generation graph; shapes as in `compileGeneration`. */
export interface RecurrenceArrays {
  readonly stateSize: number
  readonly initialStates: Float32Array<ArrayBuffer>
  readonly laterStates: Float32Array<ArrayBuffer>
  readonly recurrences: BigInt64Array<ArrayBuffer>
  readonly tolerances: Float32Array<ArrayBuffer>
}

/** One row of a run. */
interface PlacedRow {
  readonly recurrence: RowRecurrence
  /** Position of its first fed token. */
  readonly from: number
  /** Number of its fed tokens. */
  readonly count: number
  /** Index of its first token among the `inputLength` fed ones. */
  readonly offset: number
}

export function composeRecurrence(
  { stateSize: D, stateSigma }: RecurrentCore,
  rows: readonly PlacedRow[],
  { steps, inputLength }: { readonly steps: number; readonly inputLength: number },
): RecurrenceArrays {
  const initialStates = new Float32Array(rows.length * inputLength * D)
  const laterStates = new Float32Array(steps * rows.length * D)
  const write = (target: Float32Array, at: number, seed: number, position: number) => {
    if (stateSigma === 0) return
    // Stream 0 of a seed is that of a row's tokens.
    const random = createRandom(seed, 1 + position)
    for (let i = 0; i < D; i++) target[at * D + i] = random.gaussian() * stateSigma
  }
  for (const [index, { recurrence, from, count, offset }] of rows.entries()) {
    const { noise } = recurrence
    for (let i = 0; i < count; i++) write(initialStates, index * inputLength + offset + i, noise, from + i)
    // The token of the last step is fed by a later run.
    for (let step = 0; step + 1 < steps; step++) {
      write(laterStates, step * rows.length + index, noise, from + count + step)
    }
  }
  return {
    stateSize: D,
    initialStates,
    laterStates,
    recurrences: BigInt64Array.from(rows, ({ recurrence }) => BigInt(recurrence.steps)),
    tolerances: Float32Array.from(rows, ({ recurrence }) => recurrence.tolerance ?? -1),
  }
}

export function recurrenceFeeds(
  { stateSize, initialStates, laterStates, recurrences, tolerances }: RecurrenceArrays,
  {
    rows,
    inputLength,
    steps,
  }: { readonly rows: number; readonly inputLength: number; readonly steps: number },
): Readonly<Record<string, Tensor>> {
  return {
    initial_states: createTensor('float32', [rows, inputLength, stateSize], initialStates),
    later_states: createTensor('float32', [steps, rows, stateSize], laterStates),
    recurrences: createTensor('int64', [rows], recurrences),
    tolerances: createTensor('float32', [rows], tolerances),
  }
}
