/** @file The open tasks of a training process. */

import { ServiceError } from '#errors'
import type { GraphRunner, Task, TaskProgram, TaskResult } from '#ports'
import type { Handlers, TaskOperationName } from '../protocol.ts'

interface Opened {
  readonly task: Task
  readonly controller: AbortController
  bytes: Uint8Array
}

/** Creates the handlers of task calls. @throws from its handlers: ServiceError INTERNAL; errors of the task */
export function createTasks(deps: {
  readonly program: TaskProgram
  readonly runner: GraphRunner
  readonly onProgress: (task: number, share: number) => void
}): Handlers<TaskOperationName> {
  const tasks = new Map<number, Opened>()

  function opened(id: number): Opened {
    const task = tasks.get(id)
    if (task) return task
    throw new ServiceError('INTERNAL', `task ${id}: expected an open task, got one that is closed`)
  }

  return {
    async openTask({ task: id, name }) {
      const open = Object.hasOwn(deps.program, name) ? deps.program[name] : undefined
      if (open === undefined) {
        const names = Object.keys(deps.program).join(', ')
        throw new ServiceError('INTERNAL', `open a task: expected one of (${names}), got ${name}`)
      }
      tasks.set(id, { task: open(), controller: new AbortController(), bytes: new Uint8Array() })
      return undefined
    },
    async addRows({ task, rows }) {
      opened(task).task.add(rows)
      return undefined
    },
    async runTask({ task: id, options }) {
      const one = opened(id)
      const result: TaskResult = await one.task.run({
        options,
        runner: deps.runner,
        signal: one.controller.signal,
        report: (share) => deps.onProgress(id, share),
      })
      one.bytes = result.bytes ?? one.bytes
      return { value: result.value, byteLength: result.bytes?.length ?? null }
    },
    readResult: async ({ task, from, length }) => opened(task).bytes.subarray(from, from + length),
    async closeTask({ task }) {
      tasks.get(task)?.controller.abort(new ServiceError('ABORTED', 'task: closed by its caller'))
      tasks.delete(task)
      return undefined
    },
  }
}
