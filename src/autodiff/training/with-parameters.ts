/** @file Writes trained weights back into a model. */

import { ServiceError } from '#errors'
import { type Model, storeTensor } from '#onnx'
import type { Tensor } from '#tensor'

/**
 * Returns the model with `weights` as the initializers of those names; everything else is shared with
 * `model`.
 * @throws ServiceError GRAPH_PRECONDITION when the initializer is missing or of another type, SHAPE_MISMATCH
 * when its shape differs.
 */
export function withParameters(model: Model, weights: Readonly<Record<string, Tensor>>): Model {
  const initializers = new Map(model.graph.initializers)
  for (const [name, weight] of Object.entries(weights)) {
    const stored = storeTensor(weight)
    const old = initializers.get(name)
    if (old?.dataType !== stored.dataType) {
      throw new ServiceError(
        'GRAPH_PRECONDITION',
        `with parameters: expected an initializer "${name}" of type ${weight.dtype}, got ${old ? 'another type' : 'none'}`,
      )
    }
    if (old.dims.length !== weight.shape.length || old.dims.some((dim, i) => dim !== weight.shape[i])) {
      throw new ServiceError(
        'SHAPE_MISMATCH',
        `with parameters: expected shape [${old.dims}] for "${name}", got [${weight.shape}]`,
      )
    }
    initializers.set(name, stored)
  }
  return { ...model, graph: { ...model.graph, initializers } }
}
