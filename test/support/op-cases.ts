/** @file Every op that autodiff knows, tried in all its ways: one line each. */

import { type Attribute, DATA_TYPES, float, int, ints, string, type Tape, tensor } from '#onnx'
import { bool, float32, int64, type Tensor } from '#tensor'

export interface OpCase {
  readonly op: string
  readonly what: string
  /** A shape is a random input, to be differentiated; a tensor is a constant; null is an optional input left out. */
  readonly inputs: readonly (readonly number[] | Tensor | null)[]
  readonly attributes: Readonly<Record<string, Attribute>>
  /** Values are drawn from here. */
  readonly range: readonly [number, number]
  /** Values this near to 0 are not drawn: the function has a kink there. */
  readonly kink: number
  /** Outputs of the node, and which of them the loss reads. */
  readonly outputs: number
  readonly reads: readonly number[]
  /** The rule asks for sizes as numbers: symbols are refused. */
  readonly needsSizes: boolean
  /** Records what is differentiated when it is not just the op. */
  readonly build?: (tape: Tape, inputs: readonly (string | null)[]) => readonly string[]
}

type Options = Partial<Omit<OpCase, 'op' | 'what' | 'inputs'>>

function on(op: string, what: string, inputs: OpCase['inputs'], options: Options = {}): OpCase {
  return {
    ...{
      op,
      what,
      inputs,
      attributes: {},
      range: [-2, 2],
      kink: 0,
      outputs: 1,
      reads: [0],
      needsSizes: false,
    },
    ...options,
  }
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

/** Ops with a VJP rule. */
export const GRADIENT_CASES: readonly OpCase[] = [
  ...['Add', 'Sub', 'Mul'].flatMap((op) => broadcasts(op)),
  ...broadcasts('Div', positive),
  ...broadcasts('Pow', positive),
  on('Pow', 'a constant square of negative numbers', [[2, 3], float32(2)]),
  on('Pow', 'an integer exponent', [[2, 3], int64(3)]),
  on('Where', 'equal shapes', [bool([true, false, true]), [3], [3]], { needsSizes }),
  on('Where', 'branches broadcast', [bool([true, false, true]), [2, 3], []], { needsSizes }),
  on('Where', 'the condition makes the shape', [bool([true, false, true]), [1], [2, 1]]),

  ...['Identity', 'Neg', 'Exp', 'Erf', 'Sigmoid', 'Softplus', 'Tanh', 'Gelu'].flatMap((op) => unary(op)),
  on('Gelu', 'the tanh approximation', [[3, 4]], { attributes: { approximate: string('tanh') } }),
  ...['Abs', 'Relu'].flatMap((op) => unary(op, kinked)),
  ...['Sqrt', 'Log'].flatMap((op) => unary(op, positive)),
  on('Cast', 'to float64 and back', [[2, 3]], {
    build(tape, [x]) {
      const wide = tape.op('Cast', [x!], { to: int(DATA_TYPES.float64) })
      return [tape.op('Cast', [tape.op('Sigmoid', [wide])], { to: int(DATA_TYPES.float32) })]
    },
  }),
  on('Cast', 'to an integer, where the gradient stops', [[2, 3]], {
    build(tape, [x]) {
      const whole = tape.op('Cast', [x!], { to: int(DATA_TYPES.int64) })
      return [tape.op('Mul', [x!, tape.op('Cast', [whole], { to: int(DATA_TYPES.float32) })])]
    },
    // Far from the integers, where the product jumps.
    range: [1.3, 1.7],
  }),

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
  ...[0, 1].flatMap((transA) =>
    [0, 1].map((transB) =>
      on(
        'Gemm',
        `transA ${transA}, transB ${transB}`,
        [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4], [4]],
        {
          attributes: { transA: int(transA), transB: int(transB), alpha: float(0.5), beta: float(-2) },
        },
      ),
    ),
  ),
  on('Gemm', 'without C', [
    [2, 3],
    [3, 4],
  ]),
  on('Gemm', 'C a column', [
    [2, 3],
    [3, 4],
    [2, 1],
  ]),

  on('Transpose', 'axes reversed', [[2, 3, 4]]),
  on('Transpose', 'axes permuted', [[2, 3, 1, 4]], { attributes: { perm: ints([2, 0, 3, 1]) } }),
  on('Reshape', 'sizes given', [[2, 6], int64([3, 4])]),
  on('Reshape', 'a size copied and one inferred', [[2, 6], int64([0, -1, 3])]),
  on('Reshape', 'to a scalar', [[1, 1], int64([])]),
  on(
    'Reshape',
    'by a shape computed in the graph',
    [
      [2, 6],
      [3, 4],
    ],
    {
      build: (tape, [x, like]) => [
        tape.op('Mul', [tape.op('Reshape', [x!, tape.op('Shape', [like!])]), like!]),
      ],
    },
  ),
  on('Flatten', 'in the middle', [[2, 3, 4]], { attributes: { axis: int(2) } }),
  on('Unsqueeze', 'front and back', [[2, 3], int64([0, -1])]),
  on('Squeeze', 'axes given', [[1, 2, 1, 3], int64([0, -2])]),
  on('Squeeze', 'all axes of size 1', [[1, 3]], { needsSizes }),
  on('Expand', 'size 1 stretched', [[2, 1, 3], int64([2, 4, 3])], { needsSizes }),
  on('Expand', 'axes added', [[3], int64([2, 1, 3])], { needsSizes }),
  on('Expand', 'a target smaller than the input', [[2, 3], int64([1])]),

  on('Slice', 'one axis', [[4, 3], int64([1]), int64([3]), int64([0])], { needsSizes }),
  on('Slice', 'negative positions and axes', [[4, 5], int64([-3, 1]), int64([-1, 100]), int64([-1, 0])], {
    needsSizes,
  }),
  on('Slice', 'axes and steps of 1 left out', [[3, 4], int64([1, 0]), int64([3, 2])], { needsSizes }),
  on(
    'Concat',
    'the last axis',
    [
      [2, 1],
      [2, 3],
      [2, 2],
    ],
    { attributes: { axis: int(-1) }, needsSizes },
  ),
  on(
    'Concat',
    'the first axis',
    [
      [1, 3],
      [2, 3],
    ],
    { attributes: { axis: int(0) }, needsSizes },
  ),
  on('Split', 'even parts', [[2, 4]], {
    attributes: { axis: int(1), num_outputs: int(2) },
    outputs: 2,
    reads: [0, 1],
  }),
  on('Split', 'an output that nobody reads', [[5, 2], int64([1, 2, 2])], { outputs: 3, reads: [0, 2] }),
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

const removed = { attributes: { axis: int(1), keepdims: int(0) } }

/** Ops with a shape rule only. */
export const SHAPE_CASES: readonly OpCase[] = [
  ...['Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'Equal'].flatMap((op) => broadcasts(op)),
  ...['And', 'Or'].map((op) => on(op, 'broadcast', [bool([true, false]), bool(true)])),
  on('Not', 'a vector', [bool([true, false])]),
  ...['IsNaN', 'IsInf', 'Sign', 'Floor', 'Ceil', 'Round'].flatMap((op) => unary(op)),
  ...['ArgMax', 'ArgMin'].flatMap((op) => [
    on(op, 'the first axis', [[2, 3]]),
    on(op, 'an axis removed', [[2, 3, 4]], removed),
  ]),
  ...['ReduceMax', 'ReduceSumSquare'].flatMap((op) => [
    on(op, 'the last axis', [[2, 3], int64([-1])]),
    on(op, 'everything', [[2, 3]], { attributes: { keepdims: int(0) } }),
  ]),
  on('Constant', 'a tensor', [], { attributes: { value: tensor(float32([1, 2, 3])) } }),
  on('Constant', 'integers', [], { attributes: { value_ints: ints([1, 2]) } }),
  on('ConstantOfShape', 'sizes given', [int64([2, 3])]),
  on('Shape', 'a part', [[2, 3, 4]], { attributes: { start: int(-2) } }),
  on('Size', 'a matrix', [[2, 3]]),
  on('Reshape', 'a shape put together from parts', [[2, 3, 4]], {
    build(tape, [x]) {
      const shape = tape.op('Shape', [x!])
      const rest = tape.op('Gather', [shape, tape.constant(int64([2]))])
      const count = tape.op('Unsqueeze', [
        tape.op('Gather', [shape, tape.constant(int64(0))]),
        tape.constant(int64([0])),
      ])
      return [
        tape.op('Reshape', [
          x!,
          tape.op('Concat', [count, tape.constant(int64([-1])), rest], { axis: int(0) }),
        ]),
      ]
    },
  }),
  on('Slice', 'backwards', [[5, 3], int64([-1]), int64([-100]), int64([0]), int64([-2])]),
  on('Slice', 'nothing', [[5, 3], int64([3]), int64([1]), int64([0])]),
]
