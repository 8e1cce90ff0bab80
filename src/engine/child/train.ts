/** @file The role `train`: runs graphs without a model, and whole trainings, at the lowest priority. */

import { constants, setPriority } from 'node:os'
import type { TaskProgram } from '#ports'
import type { MessageFromChild, StartedRole, TrainOptions } from '../protocol.ts'
import { createGraphs, createMutex } from './graphs.ts'
import { createLocalRunner } from './local-runner.ts'
import { createTasks } from './tasks.ts'

/**
 * Lowers the priority of this process before ONNX Runtime starts threads, which inherit it, and creates the
 * handlers of graphs and tasks.
 */
export async function train(
  { cudaDevice, threads, program }: TrainOptions,
  provider: 'cpu' | 'cuda',
  send: (message: MessageFromChild) => void,
): Promise<StartedRole<'train'>> {
  setPriority(constants.priority.PRIORITY_LOW)
  const graphs = createGraphs({ provider, cudaDevice, threads, arena: true, turn: createMutex() })
  return {
    handlers: {
      ...graphs,
      ...createTasks({
        program: program === null ? {} : ((await import(program)) as { default: TaskProgram }).default,
        runner: createLocalRunner(graphs),
        onProgress: (task, share) => send({ type: 'progress', task, share }),
      }),
      peakMemory: async () => process.resourceUsage().maxRSS * 1024,
    },
  }
}
