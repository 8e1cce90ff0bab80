/** @file What is known of a value before a graph runs, and how a rule says it of a node's outputs. */

import type { Node } from '#onnx'
import type { Size } from './sizes.ts'

export interface Known {
  readonly dataType: number
  readonly shape: readonly Size[]
  /** The elements of an int64 scalar or vector that are known before the run: shapes, axes, starts and ends. */
  readonly entries?: readonly Size[] | undefined
}

export interface ShapeContext {
  readonly node: Node
  /** As many as the node lists; an optional input left out is undefined. */
  readonly inputs: readonly (Known | undefined)[]
  /** A symbol for a size that only the run tells; a new one each time. */
  fresh(): Size
}

/** What is known of the outputs, in order; null when not even the rank is. Asked only when all inputs are known. */
export type ShapeRule = (context: ShapeContext) => readonly Known[] | null

export type ShapeRules = Readonly<Record<string, ShapeRule>>

/** The entries of input `index` as numbers; undefined when it is left out or not known in full. */
export function numbersOf({ inputs }: ShapeContext, index: number): readonly number[] | undefined {
  const entries = inputs[index]?.entries
  return entries?.every((entry) => typeof entry === 'number') ? (entries as readonly number[]) : undefined
}
