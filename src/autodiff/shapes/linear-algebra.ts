/** @file Products of matrices. */

import { intAttribute } from '#onnx'
import type { ShapeRules } from './shape-rule.ts'
import { broadcast } from './sizes.ts'

export const linearAlgebra: ShapeRules = {
  /** [.., M, K] [.., K, N] -> [.., M, N], the axes before broadcast; a vector is a row on the left, a column on the right. */
  MatMul: ({ inputs: [a, b], fresh }) => {
    const rows = a!.shape.length === 1 ? [] : a!.shape.slice(-2, -1)
    const columns = b!.shape.length === 1 ? [] : b!.shape.slice(-1)
    const batch = broadcast(a!.shape.slice(0, -2), b!.shape.slice(0, -2), fresh)
    return [{ dataType: a!.dataType, shape: [...batch, ...rows, ...columns] }]
  },
  Gemm: ({ node, inputs: [a, b] }) => {
    const M = a!.shape[intAttribute(node, 'transA', 0) ? 1 : 0]!
    const N = b!.shape[intAttribute(node, 'transB', 0) ? 0 : 1]!
    return [{ dataType: a!.dataType, shape: [M, N] }]
  },
}
