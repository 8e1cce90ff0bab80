/** @file Vector-Jacobian products (VJPs): what a rule receives and what it returns. */

import type { Node } from '#onnx'
import { type Formulas, notDifferentiable } from '../formulas.ts'
import type { Known } from '../shapes/shape-rules.ts'
import type { Size } from '../shapes/sizes.ts'

/** A node of the forward graph with the types and shapes of its values. */
export interface Primal {
  readonly node: Node
  /** @throws ServiceError NOT_DIFFERENTIABLE when the rank of the value is unknown. */
  shape(value: string): readonly Size[]
  /**
   * Returns the elements of an int64 vector.
   * @throws ServiceError NOT_DIFFERENTIABLE when the graph does not store them.
   */
  entries(value: string): readonly number[]
  dataType(value: string): number
  /** Returns the error for a case that the rule does not cover. */
  refusal(expected: string, got: string): Error
}

/**
 * Emits the cotangents of the inputs of a node, one per input in order, from `dY`, the cotangent of its
 * first output; null for an input without a gradient (index, shape, condition). Cotangents that are not
 * requested are removed later as dead nodes.
 */
export type VjpRule = (f: Formulas, primal: Primal, dY: string) => readonly (string | null)[]

export type VjpRules = Readonly<Record<string, VjpRule>>

/** Combines a node with the results of shape inference. */
export function createPrimal(node: Node, known: ReadonlyMap<string, Known>): Primal {
  const refusal = (expected: string, got: string) =>
    notDifferentiable(`${node.opType} "${node.name || node.outputs[0]}" to have ${expected}`, got)
  const at = (value: string) => {
    const found = known.get(value)
    if (found) return found
    throw refusal(`"${value}" of known shape`, 'an unknown shape')
  }
  return {
    node,
    refusal,
    shape: (value) => at(value).shape,
    dataType: (value) => at(value).dataType,
    entries(value) {
      const { entries } = at(value)
      if (entries) return entries
      throw refusal(`"${value}" known before the run`, 'a value that the run computes')
    },
  }
}
