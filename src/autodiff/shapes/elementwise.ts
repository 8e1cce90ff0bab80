/** @file Ops that work element by element: the shape of the input, or of all inputs broadcast together. */

import { DATA_TYPES, intAttribute } from '#onnx'
import type { Known, ShapeContext, ShapeRule, ShapeRules } from './shape-rule.ts'
import { broadcast } from './sizes.ts'

const same: ShapeRule = ({ inputs: [x] }) => [{ dataType: x!.dataType, shape: x!.shape }]

const asType =
  (dataType: number): ShapeRule =>
  ({ inputs: [x] }) => [{ dataType, shape: x!.shape }]

const broadcastAll = ({ inputs, fresh }: ShapeContext) =>
  (inputs as readonly Known[]).reduce<Known['shape']>((shape, x) => broadcast(shape, x.shape, fresh), [])

const broadcasting: ShapeRule = (context) => [
  { dataType: context.inputs[0]!.dataType, shape: broadcastAll(context) },
]

const comparing: ShapeRule = (context) => [{ dataType: DATA_TYPES.bool, shape: broadcastAll(context) }]

const all = (rule: ShapeRule, ...opTypes: readonly string[]): ShapeRules =>
  Object.fromEntries(opTypes.map((opType) => [opType, rule]))

export const elementwise: ShapeRules = {
  ...all(broadcasting, 'Add', 'Sub', 'Mul', 'Div', 'Pow'),
  ...all(comparing, 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Equal', 'And', 'Or'),
  ...all(same, 'Neg', 'Sqrt', 'Exp', 'Log', 'Abs', 'Sign', 'Floor', 'Ceil', 'Round'),
  ...all(same, 'Erf', 'Gelu', 'Relu', 'Sigmoid', 'Softplus', 'Tanh', 'Softmax', 'LogSoftmax'),
  ...all(asType(DATA_TYPES.bool), 'Not', 'IsNaN', 'IsInf'),
  Identity: ({ inputs: [x] }) => [x!],
  Cast: ({ node, inputs: [x] }) => [{ ...x!, dataType: intAttribute(node, 'to', 0) }],
  Where: (context) => [{ dataType: context.inputs[1]!.dataType, shape: broadcastAll(context) }],
}
