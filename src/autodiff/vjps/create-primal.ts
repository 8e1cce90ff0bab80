/** @file What rules are told of a node. */

import type { Node } from '#onnx'
import { notDifferentiable } from '../not-differentiable.ts'
import type { Known } from '../shapes/shape-rule.ts'
import { isStatic } from '../shapes/sizes.ts'
import type { Primal } from './vjp-rule.ts'

/** A node with what shape inference knows of its values. */
export function createPrimal(node: Node, known: ReadonlyMap<string, Known>): Primal {
  const refusal = (expected: string, got: string) =>
    notDifferentiable(`${node.opType} "${node.name || node.outputs[0]}" to have ${expected}`, got)
  const at = (value: string) => {
    const found = known.get(value)
    if (found) return found
    throw refusal(`"${value}" of known shape`, 'one whose shape nothing tells')
  }
  return {
    node,
    refusal,
    shape: (value) => at(value).shape,
    dataType: (value) => at(value).dataType,
    entries(value) {
      const { entries } = at(value)
      if (entries && isStatic(entries)) return entries
      throw refusal(`"${value}" known before the run`, 'one that the run computes')
    },
  }
}
