/** @file Every VJP rule, by op, and the ops that have none on purpose. */

import { activations, arithmetic } from './elementwise.ts'
import { indexing } from './indexing.ts'
import { linearAlgebra } from './linear-algebra.ts'
import { movement } from './movement.ts'
import { normalization, reduction } from './reduction.ts'
import type { VjpRules } from './vjp-rule.ts'

export const VJP_RULES: VjpRules = {
  ...arithmetic,
  ...activations,
  ...linearAlgebra,
  ...movement,
  ...indexing,
  ...reduction,
  ...normalization,
}

/** Ops at which a gradient stops: their output is constant between jumps, or does not depend on what their input holds. */
export const STOPS_GRADIENT: ReadonlySet<string> = new Set([
  ...['Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Equal', 'Not', 'And', 'Or', 'IsNaN', 'IsInf'],
  ...['ArgMax', 'ArgMin', 'Sign', 'Floor', 'Ceil', 'Round'],
  ...['Constant', 'ConstantOfShape', 'Shape', 'Size'],
])

/** Optional outputs of the forward op that its rule reads; they are asked for before it runs. */
export const SAVED_OUTPUTS: Readonly<Record<string, number>> = { LayerNormalization: 3 }
