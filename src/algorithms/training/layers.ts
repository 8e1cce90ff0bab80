/**
 * @file Layers shared by the reward network and the weaver: their graph operations and their initial
 * parameters.
 */

import { int, type Model, storeTensor, type Tape } from '#onnx'
import { createRandom, float32, int64, type Tensor } from '#tensor'

/**
 * Parameters by name. A layer reads those that start with its own name, e.g. `head.weight` and `head.bias`.
 */
export type Parameters = ReadonlyMap<string, Tensor<'float32'>>

/** Collects initial parameters, layer by layer. Each method adds the parameters of one layer. */
export interface ParameterDraft {
  readonly parameters: Parameters
  /**
   * Linear layer: weight `[from, to]` uniform in +-sqrt(3 / from), i.e. of variance 1 / from; bias `[to]`,
   * 0.
   */
  linear(name: string, from: number, to: number): void
  /**
   * Linear layer with weight `[from, to]` and bias `[to]` all zero, so its output is 0 until it is trained.
   */
  zeroLinear(name: string, from: number, to: number): void
  /** Layer normalisation: weight `[width]`, 1, and bias `[width]`, 0. */
  norm(name: string, width: number): void
  /** Table `[rows, width]`, drawn like the weight of a linear layer from `width`. */
  table(name: string, rows: number, width: number): void
}

/**
 * Starts an empty draft. Seeded: each parameter draws from its own stream, numbered by its place in the
 * draft.
 */
export function draftParameters(seed: number): ParameterDraft {
  const parameters = new Map<string, Tensor<'float32'>>()
  const uniform = (count: number, bound: number) => {
    const random = createRandom(seed, parameters.size)
    return Array.from({ length: count }, () => bound * (2 * random.uniform() - 1))
  }
  return {
    parameters,
    linear(name, from, to) {
      parameters.set(`${name}.weight`, float32(uniform(from * to, Math.sqrt(3 / from)), [from, to]))
      parameters.set(`${name}.bias`, float32(new Float32Array(to)))
    },
    zeroLinear(name, from, to) {
      parameters.set(`${name}.weight`, float32(new Float32Array(from * to), [from, to]))
      parameters.set(`${name}.bias`, float32(new Float32Array(to)))
    },
    norm(name, width) {
      parameters.set(`${name}.weight`, float32(new Float32Array(width).fill(1)))
      parameters.set(`${name}.bias`, float32(new Float32Array(width)))
    },
    table(name, rows, width) {
      parameters.set(name, float32(uniform(rows * width, Math.sqrt(3 / width)), [rows, width]))
    },
  }
}

/** Emits x W + b on rows `[R, from]`; returns the name of the result, `[R, to]`. */
export function linear(tape: Tape, rows: string, name: string): string {
  return tape.op('Add', [tape.op('MatMul', [rows, `${name}.weight`]), `${name}.bias`])
}

/** Emits layer normalisation over the last axis. */
export function norm(tape: Tape, values: string, name: string): string {
  return tape.op('LayerNormalization', [values, `${name}.weight`, `${name}.bias`], { axis: int(-1) })
}

export function reshape(tape: Tape, values: string, shape: readonly number[]): string {
  return tape.op('Reshape', [values, tape.constant(int64(shape))])
}

/** Returns the parameters as initializers of a graph. */
export function storeParameters(parameters: Parameters): Model['graph']['initializers'] {
  return new Map([...parameters].map(([name, tensor]) => [name, storeTensor(tensor)]))
}
