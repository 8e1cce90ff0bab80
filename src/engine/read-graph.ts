/** @file Reads a step graph from its file, in the form that the decoder room describes and compiles. */

import { closeSync, openSync, readSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fuseHead } from '#decoder'
import { ServiceError } from '#errors'
import { decodeModel, type Model, type StoredTensor } from '#onnx'
import { readRegular } from './model-files.ts'

/** A decoded graph; its inline weights are views into `bytes`. */
export interface StepGraph {
  readonly model: Model
  readonly bytes: Uint8Array
}

/** @throws ServiceError ONNX_INVALID */
export async function readStepGraph(file: string): Promise<StepGraph> {
  const bytes = await readRegular(file)
  return { model: decodeModel(bytes), bytes }
}

/**
 * Returns the model with a quantised head in the form that the decoder room reads. Reads the head's weights
 * where they must be repacked, from external data too, whose locations must have been checked.
 *
 * @throws ServiceError MODEL_INVALID when external data is shorter than the graph declares
 */
export function withReadableHead(model: Model, file: string): Model {
  return fuseHead(model, (tensor) => (tensor.external ? readExternal(tensor, dirname(file)) : tensor.bytes))
}

function readExternal({ external }: StoredTensor, folder: string): Uint8Array {
  const location = external!.get('location')!
  const length = Number(external!.get('length'))
  if (!(length > 0)) {
    throw new ServiceError(
      'MODEL_INVALID',
      `load model: expected a length of the weights in ${location}, got none; export the model again`,
    )
  }
  const bytes = new Uint8Array(length)
  const descriptor = openSync(join(folder, location), 'r')
  try {
    const read = readSync(descriptor, bytes, 0, bytes.length, Number(external!.get('offset') ?? 0))
    if (read === bytes.length) return bytes
    throw new ServiceError(
      'MODEL_INVALID',
      `load model: expected ${bytes.length} bytes of weights in ${location}, got ${read}; copy the file again`,
    )
  } finally {
    closeSync(descriptor)
  }
}
