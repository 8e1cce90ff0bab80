/** @file The role `train`: runs graphs without a model, at the lowest priority. */

import { constants, setPriority } from 'node:os'
import type { ProcessOptions, StartedRole } from '../protocol.ts'
import { createGraphs, createMutex } from './graphs.ts'

/**
 * Lowers the priority of this process before ONNX Runtime starts threads, which inherit it, and creates the
 * graph handlers.
 */
export async function train(
  { cudaDevice, threads }: ProcessOptions,
  provider: 'cpu' | 'cuda',
): Promise<StartedRole<'train'>> {
  setPriority(constants.priority.PRIORITY_LOW)
  return {
    handlers: {
      ...createGraphs({ provider, cudaDevice, threads, arena: true, turn: createMutex() }),
      peakMemory: async () => process.resourceUsage().maxRSS * 1024,
    },
  }
}
