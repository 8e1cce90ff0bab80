/** @file Rules of products of matrices. */

import { floatAttribute, intAttribute } from '#onnx'
import { unbroadcast } from './unbroadcast.ts'
import { ofFirstOutput, type VjpRules } from './vjp-rule.ts'

export const linearAlgebra: VjpRules = {
  /** dA = dY B^T, dB = A^T dY, the axes before the last two broadcast. */
  MatMul: ofFirstOutput((f, primal, dY) => {
    const [a, b] = primal.node.inputs as [string, string]
    const ranks = [a, b].map((factor) => primal.shape(factor).length)
    if (Math.min(...ranks) < 2)
      throw primal.refusal('factors of rank 2 or more', `ranks ${ranks.join(' and ')}`)
    if (ranks[1] === 2) {
      // One matrix for all rows: two products of matrices, instead of one per batch and a sum over them.
      const dRows = f.rows(dY)
      return [
        f.reshapeTo(f.gemm(dRows, b, { transB: true }), a, primal.shape(a)),
        f.gemm(f.rows(a), dRows, { transA: true }),
      ]
    }
    const batch = primal.shape(primal.node.outputs[0]!).slice(0, -2)
    const transposed = (x: string) => f.transpose(x, swapLastTwo(primal.shape(x).length))
    const summed = (value: string, x: string) =>
      unbroadcast(f, primal, value, [...batch, ...primal.shape(x).slice(-2)], x)
    return [summed(f.matMul(dY, transposed(b)), a), summed(f.matMul(transposed(a), dY), b)]
  }),

  /** Y = alpha A B + beta C, A and B transposed on request. */
  Gemm: ofFirstOutput((f, primal, dY) => {
    const { node } = primal
    const [a, b, c] = node.inputs as [string, string, string?]
    const [transA, transB] = [intAttribute(node, 'transA', 0) === 1, intAttribute(node, 'transB', 0) === 1]
    const [alpha, beta] = [floatAttribute(node, 'alpha', 1), floatAttribute(node, 'beta', 1)]
    const dC = beta === 1 ? dY : f.mul(dY, beta)
    return [
      transA
        ? f.gemm(b, dY, { alpha, transA: transB, transB: true })
        : f.gemm(dY, b, { alpha, transB: !transB }),
      transB
        ? f.gemm(dY, a, { alpha, transA: true, transB: transA })
        : f.gemm(a, dY, { alpha, transA: !transA }),
      ...(c ? [unbroadcast(f, primal, dC, primal.shape(node.outputs[0]!), c)] : []),
    ]
  }),
}

function swapLastTwo(rank: number): readonly number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return [...axes.slice(0, -2), rank - 1, rank - 2]
}
