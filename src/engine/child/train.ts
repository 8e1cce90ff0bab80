/** @file The role `train`: graphs without a model, run by night or whenever, in the background of everything else. */

import { constants, setPriority } from 'node:os'
import type { ProcessOptions, StartedRole } from '../protocol.ts'
import { createGraphs, createMutex } from './graphs.ts'

/** Lowers the priority of this process before ONNX Runtime starts threads, which inherit it. */
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
