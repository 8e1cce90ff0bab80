/** @file Every shape rule, by op. */

import { constants } from './constants.ts'
import { elementwise } from './elementwise.ts'
import { indexing } from './indexing.ts'
import { linearAlgebra } from './linear-algebra.ts'
import { movement } from './movement.ts'
import { reduction } from './reduction.ts'
import type { ShapeRules } from './shape-rule.ts'

export const SHAPE_RULES: ShapeRules = {
  ...constants,
  ...elementwise,
  ...indexing,
  ...linearAlgebra,
  ...movement,
  ...reduction,
}
