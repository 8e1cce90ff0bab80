/** @file Memory of the machine, and the refusal of models that cannot fit into it. */

import { totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import { ServiceError } from '#errors'

/** Memory that a model needs in each process, in bytes. */
export interface ModelMemory {
  /** Weights, in the graph and beside it. ONNX Runtime packs them, so that they are resident. */
  readonly weights: number
  /** The LM head as a dense matrix, for the ascent of latents; 0 where it is dense already. */
  readonly denseHead: number
}

/** Returns the memory of the machine or, if that is less, of the container, in bytes. */
export function memoryLimit(): number {
  return Math.min(totalmem(), constrainedMemory() || Number.POSITIVE_INFINITY)
}

/**
 * Throws when the least memory of all processes, without caches, is above the limit: loading would end in the
 * death of the process.
 *
 * @throws ServiceError MODEL_UNSUPPORTED with the sum
 */
export function checkMemory(model: ModelMemory, replicas: number, limit: number): void {
  const needed = replicas * (model.weights + model.denseHead)
  if (needed <= limit) return
  const head = model.denseHead > 0 ? ` and a dense LM head of ${inGiB(model.denseHead)}` : ''
  const times = replicas > 1 ? `, in each of ${replicas} processes` : ''
  throw new ServiceError(
    'MODEL_UNSUPPORTED',
    `load model: expected at most ${inGiB(limit)} of memory to be needed, got ${inGiB(needed)}: weights of ` +
      `${inGiB(model.weights)}${head}${times}, without caches; take a smaller or quantised variant of the model` +
      `${replicas > 1 ? ', or fewer ENGINE_REPLICAS' : ''}`,
  )
}

function inGiB(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`
}
