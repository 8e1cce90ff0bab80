/** @file All VJP rules by op, and the ops at which gradients stop. */

import { elementwise } from './elementwise.ts'
import { movement } from './movement.ts'
import { reduction } from './reduction.ts'
import type { VjpRules } from './vjp-rule.ts'

export const VJP_RULES: VjpRules = { ...elementwise, ...movement, ...reduction }

/** Ops at which a gradient stops: their output is constant between jumps. */
export const STOPS_GRADIENT: ReadonlySet<string> = new Set([
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
])

/** Number of outputs that the forward op must produce because its rule reads the optional ones. */
export const SAVED_OUTPUTS: Readonly<Record<string, number>> = { LayerNormalization: 3 }
