/** @file Layers that networks here are made of, on a tape, and where their parameters start. */

import { int, type Model, storeTensor, type Tape } from '#onnx'
import { createRandom, float32, int64, type Tensor } from '#tensor'

/** By name; read by the layers of that name. */
export type Parameters = ReadonlyMap<string, Tensor<'float32'>>

export interface ParameterDraft {
  readonly parameters: Parameters
  /** Weight `[from, to]` uniform in +-sqrt(3 / from), i.e. of variance 1 / from; bias 0. */
  linear(name: string, from: number, to: number): void
  /** The same shapes, all zero: the layer says nothing until it is trained. */
  silent(name: string, from: number, to: number): void
  /** The identity. */
  norm(name: string, width: number): void
  /** `[rows, width]`, like the weight of a linear layer from `width`. */
  table(name: string, rows: number, width: number): void
}

/** Parameters in the making, seeded: each draws from a stream of its own, by its place. */
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
    silent(name, from, to) {
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

/** x W + b on rows `[R, from]`. */
export function linear(tape: Tape, rows: string, name: string): string {
  return tape.op('Add', [tape.op('MatMul', [rows, `${name}.weight`]), `${name}.bias`])
}

/** Layer normalisation over the last axis. */
export function norm(tape: Tape, values: string, name: string): string {
  return tape.op('LayerNormalization', [values, `${name}.weight`, `${name}.bias`], { axis: int(-1) })
}

export function reshape(tape: Tape, values: string, shape: readonly number[]): string {
  return tape.op('Reshape', [values, tape.constant(int64(shape))])
}

/** As initializers of a graph. */
export function storeParameters(parameters: Parameters): Model['graph']['initializers'] {
  return new Map([...parameters].map(([name, tensor]) => [name, storeTensor(tensor)]))
}
