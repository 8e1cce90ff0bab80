/**
 * @file Memory of the machine, the refusal of models that cannot fit into it, and the recognition of runs that
 * failed for want of it.
 */

import { execFile } from 'node:child_process'
import { totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import { promisify } from 'node:util'
import { ServiceError } from '#errors'

/** Returns the memory of the machine or, if that is less, of the container, in bytes. */
export function memoryLimit(): number {
  return Math.min(totalmem(), constrainedMemory() || Number.POSITIVE_INFINITY)
}

/**
 * Returns the memory of a CUDA device in bytes, as the driver's `nvidia-smi` reports it; null without that program.
 * ONNX Runtime does not report it.
 */
export async function deviceMemory(cudaDevice: number): Promise<number | null> {
  // CUDA numbers the devices that are visible to it; nvidia-smi numbers all, and takes their ids too.
  const visible = process.env['CUDA_VISIBLE_DEVICES']?.split(',') ?? []
  const device = visible[cudaDevice]?.trim() || String(cudaDevice)
  const query = ['--query-gpu=memory.total', '--format=csv,noheader,nounits', `--id=${device}`]
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: 10_000 })
    const mebibytes = Number.parseInt(stdout, 10)
    return mebibytes > 0 ? mebibytes * 2 ** 20 : null
  } catch {
    return null
  }
}

/**
 * Throws when the weights of all processes, without caches, are above the limit: loading would end in the death of
 * the process.
 *
 * @param weights in the graph and beside it, in bytes. ONNX Runtime packs them, so that they are resident.
 * @throws ServiceError MODEL_UNSUPPORTED with the sum
 */
export function checkMemory(weights: number, replicas: number, limit: number): void {
  const needed = replicas * weights
  if (needed <= limit) return
  const times = replicas > 1 ? `, in each of ${replicas} processes` : ''
  throw new ServiceError(
    'MODEL_UNSUPPORTED',
    `load model: expected at most ${inGiB(limit)} of memory to be needed, got ${inGiB(needed)}: weights of ` +
      `${inGiB(weights)}${times}, without caches; take a smaller or quantised variant of the model` +
      `${replicas > 1 ? ', or fewer ENGINE_REPLICAS' : ''}`,
  )
}

/**
 * Messages of the allocators: C++, the arena of ONNX Runtime, CUDA and its libraries, V8 (which allocates the feeds).
 */
const OUT_OF_MEMORY =
  /bad_alloc|bad allocation|failed to allocate memory|BFCArena|out of memory|out_of_memory|ALLOC_FAILED|array buffer allocation failed|invalid typed array length|cannot allocate memory/i

/** Whether a run failed because memory could not be allocated. */
export function isOutOfMemory(error: Error): boolean {
  return OUT_OF_MEMORY.test(error.message)
}

export function inGiB(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`
}
