/** @file Compiled graphs that find their weights in the model's own file, where ONNX Runtime maps them into memory. */

import type { Model, StoredTensor } from '#onnx'

/** Smaller tensors are copied: the graph toolkit reads some of them, and they weigh nothing. */
const SMALL_BYTES = 64 * 2 ** 10

/**
 * Replaces large tensors that stand in `file` by references to their bytes there, as external data. Without this each compiled
 * graph would carry its weights through JavaScript and into memory of its own (figures: `loadGraphs`).
 *
 * @param model decoded from `file`
 * @param location name of the file, relative to the folder of the graph's external data
 */
export function leaveWeightsInFile(model: Model, file: Uint8Array, location: string): Model {
  const leave = (tensor: StoredTensor): StoredTensor => {
    const { bytes } = tensor
    if (bytes.buffer !== file.buffer || bytes.length < SMALL_BYTES) return tensor
    const external = new Map([
      ['location', location],
      ['offset', String(bytes.byteOffset - file.byteOffset)],
      ['length', String(bytes.length)],
    ])
    return { ...tensor, bytes: new Uint8Array(), external }
  }
  const initializers = new Map(
    [...model.graph.initializers].map(([name, tensor]) => [name, leave(tensor)] as const),
  )
  return { ...model, graph: { ...model.graph, initializers } }
}
