/**
 * @file A graph runner on real ONNX Runtime, and the training tasks, in the test process instead of an engine
 * process.
 */

import type { GraphRunner, TaskRunner } from '#ports'
import trainingProgram from '../../src/consolidation/training-program.ts'
import { createGraphs, createMutex } from '../../src/engine/child/graphs.ts'
import { createLocalRunner } from '../../src/engine/child/local-runner.ts'
import { createTasks } from '../../src/engine/child/tasks.ts'
import { openRemoteTask } from '../../src/engine/remote-task.ts'

/**
 * Creates a runner like a trainer's: it supports `state` and `carry`, runs one graph at a time, and has the
 * service's training tasks.
 */
export function graphRunner(): GraphRunner &
  TaskRunner & {
    /** Number of graphs loaded and not closed. */
    readonly open: () => number
  } {
  const local = createLocalRunner(
    createGraphs({ provider: 'cpu', cudaDevice: 0, threads: 1, turn: createMutex() }),
  )
  const open = new Set<object>()
  const runner: GraphRunner = {
    async load(model, options) {
      const graph = await local.load(model, options)
      open.add(graph)
      return {
        ...graph,
        async close() {
          await graph.close()
          open.delete(graph)
        },
      }
    },
  }
  const listeners = new Map<number, (share: number) => void>()
  const tasks = createTasks({
    program: trainingProgram,
    runner,
    onProgress: (task, share) => listeners.get(task)?.(share),
  })
  let opened = 0
  return {
    ...runner,
    open: () => open.size,
    async openTask(name) {
      const id = ++opened
      await tasks.openTask({ task: id, name })
      return openRemoteTask({
        id,
        process: { call: async (operation, params) => await tasks[operation](params) },
        onProgress(listen) {
          listeners.set(id, listen)
          return () => listeners.delete(id)
        },
      })
    },
  }
}
