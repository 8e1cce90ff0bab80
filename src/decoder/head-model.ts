/** @file What the graphs made of the LM head alone have in common. */

import {
  createModel,
  type Graph,
  hoistInitializers,
  type Model,
  removeUnused,
  runPasses,
  type StoredTensor,
  sortNodes,
} from '#onnx'
import { headConstants } from './emit-head.ts'
import type { LmHead } from './lm-head.ts'

/** Our own graphs need not speak the export's dialect: 18 has BitwiseAnd and scatters that add on every provider. */
const OPSET = 18

/** The head's constants under names that no input can bear. */
export function headScope(
  graph: Graph,
  head: LmHead,
): { initializers: ReadonlyMap<string, StoredTensor>; rename: (name: string) => string } {
  const rename = (name: string) => `head/${name}`
  const constants = headConstants(graph, head)
  return { initializers: new Map([...constants].map(([name, tensor]) => [rename(name), tensor])), rename }
}

/** A model around a graph over the head. @throws ServiceError GRAPH_PRECONDITION, GRAPH_POSTCONDITION */
export function createHeadModel(graph: Graph): Model {
  return runPasses([hoistInitializers, removeUnused, sortNodes], createModel(graph, { '': OPSET })).model
}
