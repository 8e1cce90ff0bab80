/**
 * @file Reads a step graph from its file, or the three files of a depth-recurrent model, in the form that the decoder
 * room describes and compiles.
 */

import { closeSync, openSync, readSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fuseHead, linkRecurrent, RECURRENT_PARTS, type Recurrence } from '#decoder'
import { ServiceError } from '#errors'
import { decodeModel, type Model, type StoredTensor } from '#onnx'
import { modelInvalid, readRegular } from './model-files.ts'

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
 * Returns the files of a step graph: the file itself, or prelude, core and coda of a depth-recurrent model, whose graph
 * is named by its prelude.
 */
export function stepGraphFiles(file: string): readonly string[] {
  if (basename(file) !== `${RECURRENT_PARTS[0]}.onnx`) return [file]
  return RECURRENT_PARTS.map((part) => join(dirname(file), `${part}.onnx`))
}

/**
 * Returns the step graph of the models of `stepGraphFiles`, the last of which has a readable head.
 *
 * @param maxSteps `recurrence.maxSteps` of the profile; null: an ordinary decoder
 * @throws ServiceError MODEL_INVALID when graph and profile are of different kinds; MODEL_UNSUPPORTED
 */
export function linkStepGraph(
  models: readonly Model[],
  maxSteps: number | null,
): { readonly model: Model; readonly recurrence: Recurrence | null } {
  if (models.length > 1) {
    if (maxSteps !== null) return linkRecurrent(models, maxSteps)
    throw modelInvalid(
      "'recurrence' in circadian.json for the depth-recurrent graphs prelude.onnx, core.onnx and coda.onnx",
      'none',
      'write its steps, maxSteps and stateSigma (docs/onnx-support.md)',
    )
  }
  if (maxSteps === null) return { model: models[0]!, recurrence: null }
  throw modelInvalid(
    "depth-recurrent graphs prelude.onnx, core.onnx and coda.onnx for 'recurrence' in circadian.json",
    'an ordinary decoder',
    'remove recurrence from the profile, or export the model in three graphs (docs/onnx-support.md)',
  )
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
