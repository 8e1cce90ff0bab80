/** @file Rules of ops that move or repeat elements: the way back puts them where they came from. */

import { intsAttribute } from '#onnx'
import { unbroadcast } from './unbroadcast.ts'
import { ofFirstOutput, type VjpRule, type VjpRules } from './vjp-rule.ts'

const restoreShape: VjpRule = ofFirstOutput((f, primal, dY) => {
  const [x, ...parameters] = primal.node.inputs as [string, ...string[]]
  return [f.reshapeTo(dY, x, primal.shape(x)), ...parameters.map(() => null)]
})

export const movement: VjpRules = {
  Reshape: restoreShape,
  Flatten: restoreShape,
  Squeeze: restoreShape,
  Unsqueeze: ofFirstOutput((f, primal, dY) => [f.squeeze(dY, primal.entries(primal.node.inputs[1]!)), null]),
  Transpose: ofFirstOutput((f, { node, shape }, dY) => {
    const rank = shape(node.inputs[0]!).length
    const perm = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis)
    return [
      f.transpose(
        dY,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ]
  }),
  Expand: ofFirstOutput((f, primal, dY) => {
    const { inputs, outputs } = primal.node
    return [unbroadcast(f, primal, dY, primal.shape(outputs[0]!), inputs[0]!), null]
  }),
}
