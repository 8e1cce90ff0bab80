/** @file PyTorch's side of the comparison: reward_model.py in a process of its own. */

import { join } from 'node:path'
import { startPython } from '../python-process.ts'

export interface PyTorch {
  readonly version: string
  readonly pid: number
  /** Trains one epoch. The first call also reads the data and builds the network. */
  train(
    batches: readonly (readonly number[])[],
    losses: boolean,
  ): Promise<{ readonly seconds: number; readonly losses: readonly number[] }>
  close(): Promise<void>
}

/**
 * Starts PyTorch on the files of `folder`. @returns null when `python` cannot be started or has no PyTorch
 */
export async function startPyTorch(python: string, folder: string, threads: number): Promise<PyTorch | null> {
  const script = join(import.meta.dirname, 'reward_model.py')
  const env = { OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) }
  const peer = await startPython(python, [script, folder], env)
  if (peer === null) return null
  let isPrepared = false
  return {
    version: peer.hello.torch,
    pid: peer.pid,
    async train(batches, losses) {
      if (!isPrepared) peer.send('')
      isPrepared = true
      return await peer.ask({ batches, losses })
    },
    close: peer.close,
  }
}
