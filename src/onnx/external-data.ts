/** @file What a model keeps outside its own file. */

import type { Attribute } from './attributes.ts'
import type { Model } from './model.ts'
import type { StoredTensor } from './stored-tensor.ts'
import { allGraphs } from './walk.ts'

/** The distinct locations of external data, as the file spells them, sorted. Nothing is opened or checked here. */
export function externalDataLocations(model: Model): readonly string[] {
  const locations = allGraphs(model.graph)
    .flatMap((graph) => [
      ...graph.initializers.values(),
      ...graph.nodes.flatMap((node) => [...node.attributes.values()].flatMap(tensorsOf)),
    ])
    .map((tensor) => tensor.external?.get('location'))
    .filter((location) => location !== undefined)
  return [...new Set(locations)].sort()
}

function tensorsOf(attribute: Attribute): readonly StoredTensor[] {
  if (attribute.type === 'tensor') return [attribute.value]
  return attribute.type === 'tensors' ? attribute.value : []
}
