/** @file Vector-Jacobian products: what a rule is given, and what it gives back. */

import type { Node } from '#onnx'
import type { Formulas } from '../formulas.ts'
import type { Size } from '../shapes/sizes.ts'

/** A node of the forward graph and what is known of its values. */
export interface Primal {
  readonly node: Node
  /** @throws ServiceError NOT_DIFFERENTIABLE when the rank of the value is not known. */
  shape(value: string): readonly Size[]
  /** The elements of an int64 vector. @throws ServiceError NOT_DIFFERENTIABLE when they are not known before the run. */
  entries(value: string): readonly number[]
  dataType(value: string): number
  /** What a rule throws at a case that it does not cover: `expected` and `got` in words. */
  refusal(expected: string, got: string): Error
}

/**
 * Emits the cotangents of the inputs of a node, one for each input in order, from those of its outputs; null = none flows
 * there (an index, a shape, a condition). Cotangents of inputs that nobody asks for are dropped as dead nodes.
 */
export type VjpRule = (
  f: Formulas,
  primal: Primal,
  dYs: readonly (string | null)[],
) => readonly (string | null)[]

export type VjpRules = Readonly<Record<string, VjpRule>>

/** A rule for the first output of a node, the only one that a cotangent may come to. */
export const ofFirstOutput =
  (rule: (f: Formulas, primal: Primal, dY: string) => readonly (string | null)[]): VjpRule =>
  (f, primal, [dY, ...others]) => {
    if (dY && others.every((other) => other === null)) return rule(f, primal, dY)
    throw primal.refusal('a loss that reads its first output only', 'one that reads another')
  }
