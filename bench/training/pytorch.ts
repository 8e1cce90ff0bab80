/** @file PyTorch's side of the comparison: reward_model.py in a process of its own. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

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
  const child = spawn(python, [join(import.meta.dirname, 'reward_model.py'), folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, OMP_NUM_THREADS: String(threads), MKL_NUM_THREADS: String(threads) },
  })
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => {
    const line = await Promise.race([lines.next(), ended.then(() => lines.next())])
    return line.done ? null : JSON.parse(line.value)
  }
  await Promise.race([once(child, 'spawn').catch(() => undefined), ended])
  if (child.pid === undefined) return null
  const hello = await answer()
  if (hello?.torch === undefined) return null
  let isPrepared = false
  return {
    version: hello.torch,
    pid: child.pid,
    async train(batches, losses) {
      if (!isPrepared) child.stdin.write('\n')
      isPrepared = true
      child.stdin.write(`${JSON.stringify({ batches, losses })}\n`)
      const trained = await answer()
      if (!trained) throw new Error('pytorch: expected an answer, got the end of the process')
      return trained
    },
    async close() {
      child.stdin.end()
      await ended
    },
  }
}
