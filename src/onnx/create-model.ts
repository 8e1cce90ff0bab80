/** @file Constructors of values, graphs and models. */

import type { DType } from '#tensor'
import { DATA_TYPES } from './data-type.ts'
import type { Dim, Graph, Model, Value } from './model.ts'

/** Creates a typed value; without `shape` its rank is unknown. */
export function value(name: string, dtype: DType, shape?: readonly Dim[]): Value {
  return { name, type: { dataType: DATA_TYPES[dtype], shape } }
}

/** Creates a graph; omitted parts are empty. */
export function createGraph(parts: Pick<Graph, 'name' | 'outputs' | 'nodes'> & Partial<Graph>): Graph {
  return { inputs: [], initializers: new Map(), valueInfo: [], ...parts }
}

/** Creates a model whose producer is this project, for the given operator sets by domain ('' = ai.onnx). */
export function createModel(graph: Graph, opsetImports: Readonly<Record<string, number>>): Model {
  return {
    irVersion: 8,
    producerName: 'circadian',
    producerVersion: '',
    opsetImports: new Map(Object.entries(opsetImports)),
    graph,
  }
}
