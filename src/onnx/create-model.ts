/** @file Short constructors for values, graphs and models made here. */

import type { DType } from '#tensor'
import { DATA_TYPES } from './data-type.ts'
import type { Dim, Graph, Model, Value } from './model.ts'

/** A typed value; without `shape` its rank is unknown. */
export function value(name: string, dtype: DType, shape?: readonly Dim[]): Value {
  return { name, type: { dataType: DATA_TYPES[dtype], shape } }
}

/** A graph; what is left out is empty. */
export function createGraph(parts: Pick<Graph, 'name' | 'outputs' | 'nodes'> & Partial<Graph>): Graph {
  return { inputs: [], initializers: new Map(), valueInfo: [], ...parts }
}

/** A model of this project's making, for the given operator sets ('' = ai.onnx). */
export function createModel(graph: Graph, opsetImports: Readonly<Record<string, number>>): Model {
  return {
    irVersion: 8,
    producerName: 'circadian',
    producerVersion: '',
    opsetImports: new Map(Object.entries(opsetImports)),
    graph,
  }
}
