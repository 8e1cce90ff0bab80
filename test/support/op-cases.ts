/** @file Cases for every op with an autodiff rule: inputs, attributes and broadcasts to try. */

import { type Attribute, float, int, ints, string } from '#onnx'
import { bool, int64, type Tensor } from '#tensor'

export interface OpCase {
  readonly op: string
  readonly what: string
  /** A shape is a random input to differentiate by; a tensor is a constant. */
  readonly inputs: readonly (readonly number[] | Tensor)[]
  readonly attributes: Readonly<Record<string, Attribute>>
  /** Range of the random values. */
  readonly range: readonly [number, number]
  /** Smallest absolute value that is drawn: the function has a kink at 0. */
  readonly kink: number
  /** True when the gradient rule needs sizes as numbers and refuses symbols. */
  readonly needsSizes: boolean
}

type Options = Partial<Omit<OpCase, 'op' | 'what' | 'inputs'>>

function on(op: string, what: string, inputs: OpCase['inputs'], options: Options = {}): OpCase {
  return { op, what, inputs, attributes: {}, range: [-2, 2], kink: 0, needsSizes: false, ...options }
}

const positive: Options = { range: [0.5, 2.5] }
const kinked: Options = { kink: 0.2 }
const needsSizes = true

/** The ways in which two shapes broadcast. */
const BROADCASTS: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ['equal shapes', [2, 3], [2, 3]],
  ['a vector on the right', [2, 3, 4], [4]],
  ['a vector on the left', [3], [2, 3]],
  ['size 1 inside', [2, 1, 3], [2, 4, 3]],
  ['size 1 on both sides', [2, 1, 3], [1, 4, 1]],
  ['size 1 added and stretched', [1, 3], [2, 4, 3]],
  ['a scalar', [2, 3], []],
  ['one element and a scalar', [1, 1], []],
]
const broadcasts = (op: string, options: Options = {}) =>
  BROADCASTS.map(([what, a, b]) => on(op, what, [a, b], options))

const unary = (op: string, options: Options = {}) => [
  on(op, 'a matrix', [[3, 4]], options),
  on(op, 'a scalar', [[]], options),
]

const BINARY_OPS = ['Add', 'Sub', 'Mul']
const SMOOTH_OPS = ['Identity', 'Neg', 'Exp', 'Sigmoid', 'Softplus', 'Tanh', 'Gelu']
const COMPARISONS = ['Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Equal']

/** Cases of ops with a VJP rule. */
export const GRADIENT_CASES: readonly OpCase[] = [
  ...BINARY_OPS.flatMap((op) => broadcasts(op)),
  ...broadcasts('Div', positive),
  on('Where', 'equal shapes', [bool([true, false, true]), [3], [3]], { needsSizes }),
  on('Where', 'branches broadcast', [bool([true, false, true]), [2, 3], []], { needsSizes }),
  on('Where', 'the condition makes the shape', [bool([true, false, true]), [1], [2, 1]]),

  ...SMOOTH_OPS.flatMap((op) => unary(op)),
  on('Gelu', 'the tanh approximation', [[3, 4]], { attributes: { approximate: string('tanh') } }),
  ...unary('Relu', kinked),
  ...unary('Sqrt', positive),
  ...unary('Log', positive),

  on('MatMul', 'matrices', [
    [2, 3],
    [3, 4],
  ]),
  on('MatMul', 'one matrix for a batch', [
    [2, 3, 4],
    [4, 2],
  ]),
  on('MatMul', 'one matrix for two batch axes', [
    [2, 1, 3, 2],
    [2, 2],
  ]),
  on('MatMul', 'batches', [
    [2, 3, 4],
    [2, 4, 2],
  ]),
  on('MatMul', 'batch axes broadcast', [
    [2, 1, 2, 3],
    [4, 3, 2],
  ]),
  on('MatMul', 'a matrix times a batch', [
    [2, 3],
    [4, 3, 2],
  ]),
  on('MatMul', 'size 1 everywhere', [
    [1, 2, 1, 1],
    [2, 1, 1, 1],
  ]),

  on('Transpose', 'axes reversed', [[2, 3, 4]]),
  on('Transpose', 'axes permuted', [[2, 3, 1, 4]], { attributes: { perm: ints([2, 0, 3, 1]) } }),
  on('Reshape', 'sizes given', [[2, 6], int64([3, 4])]),
  on('Reshape', 'a size copied and one inferred', [[2, 6], int64([0, -1, 3])]),
  on('Reshape', 'to a scalar', [[1, 1], int64([])]),
  on('Unsqueeze', 'front and back', [[2, 3], int64([0, -1])]),
  on('Gather', 'rows, some twice', [[4, 3], int64([2, 0, 2])], { needsSizes }),
  on('Gather', 'a matrix of negative indices, inner axis', [[2, 4, 3], int64([-1, 0, 0, 2], [2, 2])], {
    attributes: { axis: int(1) },
    needsSizes,
  }),
  on('Gather', 'a single index', [[2, 3], int64(1)], { attributes: { axis: int(-1) }, needsSizes }),

  on('ReduceSum', 'one axis kept', [[2, 3, 4], int64([1])]),
  on('ReduceSum', 'axes removed', [[2, 3, 4], int64([-1, 0])], { attributes: { keepdims: int(0) } }),
  on('ReduceSum', 'everything', [[2, 3]], { attributes: { keepdims: int(0) } }),
  on('ReduceSum', 'everything, axes kept', [[2, 3]]),
  on('ReduceSum', 'nothing', [[2, 3]], { attributes: { noop_with_empty_axes: int(1), keepdims: int(0) } }),
  on('ReduceMean', 'one axis kept', [[2, 3, 4], int64([1])]),
  on('ReduceMean', 'axes removed', [[2, 3, 4], int64([1, -1])], { attributes: { keepdims: int(0) } }),
  on('ReduceMean', 'everything', [[2, 3]], { attributes: { keepdims: int(0) } }),
  on('Softmax', 'the last axis', [[2, 5]]),
  on('Softmax', 'an inner axis', [[2, 3, 2]], { attributes: { axis: int(1) } }),
  on('Softmax', 'a single class', [[2, 1]]),
  on('LogSoftmax', 'the last axis', [[2, 5]]),
  on('LogSoftmax', 'an inner axis', [[2, 3, 2]], { attributes: { axis: int(-2) } }),
  on('LayerNormalization', 'the last axis', [[3, 6], [6], [6]]),
  on('LayerNormalization', 'without bias', [[2, 2, 4], [4]]),
  on(
    'LayerNormalization',
    'two axes',
    [
      [3, 2, 4],
      [2, 4],
      [2, 4],
    ],
    { attributes: { axis: int(1) } },
  ),
  on('LayerNormalization', 'a large epsilon', [[3, 4], [4], [4]], { attributes: { epsilon: float(0.5) } }),
]

/** Cases of ops with a shape rule only. */
export const SHAPE_CASES: readonly OpCase[] = [
  ...COMPARISONS.flatMap((op) => broadcasts(op)),
  ...unary('Abs'),
]
