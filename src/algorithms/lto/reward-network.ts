/** @file The networks that classify answers as right or wrong: their parameters and logits, by kind. */

import type { Tape } from '#onnx'
import { float32, int64 } from '#tensor'
import { draftParameters, type Parameters } from '../training/layers.ts'
import type { Dropout, RewardArchitecture } from './forms/reward-form.ts'
import { NETWORKS } from './forms/reward-forms.ts'
import type { Standardisation } from './standardise.ts'

/** Creates the initial parameters, seeded. */
export function createParameters(architecture: RewardArchitecture, seed: number): Parameters {
  const draft = draftParameters(seed)
  NETWORKS[architecture.kind].draft(draft, architecture)
  return draft.parameters
}

/**
 * Records the network on a tape and returns the name of its logits, float32 [N]. Parameters are read by
 * their names, prefixed with `scope`.
 *
 * A row that is all zeros is padding: it is neither attended to nor averaged over. Inputs of fewer rows
 * (thoughts of depth-recurrent models that stop early, short answers) are padded with such rows.
 *
 * @param thoughts name of a float32 [N, T, D].
 */
export function emitLogits(
  tape: Tape,
  thoughts: string,
  architecture: RewardArchitecture,
  { mean, inverseDeviation }: Standardisation,
  { scope = '', dropout = (_tape, values) => values }: { scope?: string; dropout?: Dropout | undefined } = {},
): string {
  const magnitude = tape.op('ReduceSum', [tape.op('Abs', [thoughts]), tape.constant(int64([2]))])
  const zero = tape.constant(float32(0))
  const isState = tape.op('Greater', [magnitude, zero]) // [N, T, 1]
  const mask = tape.op('Where', [isState, tape.constant(float32(1)), zero])
  const centred = tape.op('Sub', [thoughts, tape.constant(mean)])
  const standard = tape.op('Mul', [tape.op('Mul', [centred, tape.constant(inverseDeviation)]), mask])
  return NETWORKS[architecture.kind].emit(tape, { standard, isState, mask, scope, dropout }, architecture)
}
