/** @file Formulas over the values of a graph: each call records a node and returns the name of its output. */

import { ServiceError } from '#errors'
import { type Attribute, DATA_TYPES, dataTypeName, int, ints, type Tape, tensor } from '#onnx'
import { createTensor, float32, int64, type Tensor, toFloat16 } from '#tensor'
import { isStatic, type Size } from './shapes/sizes.ts'

/** A value by name, or a number, which becomes a scalar constant of the formulas' element type. */
export type Operand = string | number

type Attributes = Readonly<Record<string, Attribute>>

/** The vocabulary in which VJP rules and optimisers are written. */
export type Formulas = ReturnType<typeof createFormulas>

/**
 * Creates formulas on `tape` in one floating-point type.
 * @throws ServiceError NOT_DIFFERENTIABLE when `dataType` is not float32, float64 or float16.
 */
export function createFormulas(tape: Tape, dataType: number = DATA_TYPES.float32) {
  const name = (operand: Operand) =>
    typeof operand === 'number' ? tape.constant(scalar(operand, dataType)) : operand
  const op = (opType: string, operands: readonly Operand[], attributes?: Attributes) =>
    tape.op(opType, operands.map(name), attributes)
  const binary = (opType: string) => (a: Operand, b: Operand) => op(opType, [a, b])
  const unary = (opType: string) => (x: Operand) => op(opType, [x])
  const vector = (values: readonly number[]) => tape.constant(int64(values))

  const f = {
    op,
    constant: name,
    /** A constant int64 vector: axes, sizes. */
    int64: vector,
    add: binary('Add'),
    sub: binary('Sub'),
    mul: binary('Mul'),
    div: binary('Div'),
    pow: binary('Pow'),
    min: binary('Min'),
    max: binary('Max'),
    neg: unary('Neg'),
    sqrt: unary('Sqrt'),
    exp: unary('Exp'),
    cos: unary('Cos'),
    erf: unary('Erf'),
    tanh: unary('Tanh'),
    sigmoid: unary('Sigmoid'),
    sign: unary('Sign'),
    where: (condition: string, a: Operand, b: Operand) => op('Where', [condition, a, b]),
    cast: (x: string, to: number = dataType) => op('Cast', [x], { to: int(to) }),

    sum: (x: string, axes: readonly number[], keepdims = true) =>
      op('ReduceSum', [x, vector(axes)], { keepdims: int(keepdims ? 1 : 0) }),
    mean: (x: string, axes: readonly number[]) => op('ReduceMean', [x, vector(axes)]),

    matMul: binary('MatMul'),
    /** A B of two matrices, either side transposed. */
    gemm: (a: string, b: string, { transA = false, transB = false } = {}) =>
      op('Gemm', [a, b], {
        ...(transA ? { transA: int(1) } : {}),
        ...(transB ? { transB: int(1) } : {}),
      }),
    transpose: (x: string, perm: readonly number[]) => op('Transpose', [x], { perm: ints(perm) }),
    /** Flattens `[.., K]` to a matrix of rows `[n, K]`. */
    rows: (x: string) => op('Flatten', [x], { axis: int(-1) }),
    unsqueeze: (x: string, axes: readonly number[]) => op('Unsqueeze', [x, vector(axes)]),
    squeeze: (x: string, axes: readonly number[]) => op('Squeeze', [x, vector(axes)]),

    /** The shape of value `x` as an int64 vector: a constant when `shape` has no symbols. */
    shapeOf: (x: string, shape: readonly Size[]) => (isStatic(shape) ? vector(shape) : op('Shape', [x])),
    /** Reshapes `value` to the shape of `x`, which has as many elements. */
    reshapeTo: (value: string, x: string, shape: readonly Size[]) => {
      const open = shape.filter((size) => typeof size !== 'number').length
      if (open !== 1 || shape.includes(0)) return op('Reshape', [value, f.shapeOf(x, shape)])
      const target = shape.map((size) => (typeof size === 'number' ? size : -1))
      return op('Reshape', [value, vector(target)])
    },
    /** Repeats `value` along axes of size 1 to the shape of `x`. */
    expandTo: (value: Operand, x: string, shape: readonly Size[]) =>
      op('Expand', [value, f.shapeOf(x, shape)]),
    zerosLike: (x: string, shape: readonly Size[]) =>
      op('ConstantOfShape', [f.shapeOf(x, shape)], {
        value: tensor({ ...scalar(0, dataType), shape: [1] }),
      }),
  }
  return f
}

function scalar(value: number, dataType: number): Tensor {
  switch (dataType) {
    case DATA_TYPES.float32:
      return float32(value)
    case DATA_TYPES.float64:
      return createTensor('float64', [], Float64Array.of(value))
    case DATA_TYPES.float16:
      return createTensor('float16', [], toFloat16(Float32Array.of(value)))
    default:
      throw notDifferentiable('float32, float64 or float16', dataTypeName(dataType))
  }
}

/** Returns the error "differentiate: expected ..., got ..." with code NOT_DIFFERENTIABLE. */
export function notDifferentiable(expected: string, got: string): ServiceError {
  return new ServiceError('NOT_DIFFERENTIABLE', `differentiate: expected ${expected}, got ${got}`)
}
