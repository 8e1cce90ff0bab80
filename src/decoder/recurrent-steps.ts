/**
 * @file The part of the generation graph that only a depth-recurrent model has: the initial states of the positions, the
 * recurrences of the rows, and how many each token took.
 */

import { type Tape, type Value, value } from '#onnx'
import { int64 } from '#tensor'
import { RECURRENT_INPUTS, type Recurrence } from './link-recurrent.ts'

const { initialStates, recurrences, tolerances } = RECURRENT_INPUTS

/** Inputs and outputs of the generation graph; shapes as in `compileGeneration`. */
export function recurrentContract({ stateSize: D }: Recurrence): {
  readonly inputs: Value[]
  readonly outputs: Value[]
} {
  return {
    inputs: [
      value(initialStates, 'float32', ['B', 'S', D]),
      value('later_states', 'float32', ['N', 'B', D]),
      value(recurrences, 'int64', ['B']),
      value(tolerances, 'float32', ['B']),
    ],
    outputs: [value('recurrences_taken', 'int64', ['n', 'B'])],
  }
}

/** The initial states of the fed positions, which the Loop carries under this name. */
export const CARRIED_STATES = initialStates

/**
 * Emits what a step needs beside the initial states: its recurrences, one for rows that are `finished` (bool `[B]`), so
 * that they hold up no others, and its tolerances.
 */
export function emitRecurrences(tape: Tape, inScope: (name: string) => string, finished: string): void {
  tape.outputs([inScope(recurrences)], 'Where', [finished, tape.constant(int64(1)), recurrences])
  tape.outputs([inScope(tolerances)], 'Identity', [tolerances])
}

/** Emits the initial states `[B, 1, D]` of the token that iteration `index` picks. */
export function emitNextStates(tape: Tape, index: string): string {
  const line = tape.constant(int64([1]))
  return tape.op('Unsqueeze', [tape.op('Gather', ['later_states', index]), line])
}
