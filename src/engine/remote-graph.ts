/** @file Client of a graph that one or several engine processes hold. */

import { ServiceError } from '#errors'
import type { LoadedGraph } from '#ports'
import type { Tensor } from '#tensor'
import type { GraphOperationName, Operations } from './protocol.ts'

/** Graph operations of an engine process. */
export interface GraphProcess {
  call<Name extends GraphOperationName>(
    operation: Name,
    params: Operations[Name]['params'],
  ): Promise<Operations[Name]['result']>
}

/** Creates the client. @param deps.id number of the graph in the processes */
export function openRemoteGraph(deps: {
  readonly id: number
  /** Calls `task` with a process that has the graph. */
  readonly use: <Result>(task: (process: GraphProcess) => Promise<Result>) => Promise<Result>
  /** Returns all processes that have the graph. */
  readonly holders: () => readonly GraphProcess[]
}): LoadedGraph {
  const { id } = deps
  const inFlight = new Set<Promise<unknown>>()
  let closed: Promise<unknown> | null = null

  async function use<Name extends string>(
    task: (process: GraphProcess) => Promise<Readonly<Record<string, Tensor>>>,
  ): Promise<Readonly<Record<Name, Tensor>>> {
    if (closed !== null) {
      throw new ServiceError('SESSION_FAILED', 'graph: expected an open graph, got a closed one')
    }
    const work = deps.use(task)
    inFlight.add(work)
    try {
      return (await work) as Record<Name, Tensor>
    } finally {
      inFlight.delete(work)
    }
  }

  async function finish(): Promise<void> {
    await Promise.allSettled(inFlight)
    // A process that has ended has freed its graphs.
    await Promise.allSettled(deps.holders().map((process) => process.call('closeGraph', { graph: id })))
  }

  return {
    run: (feeds, fetches) => use((process) => process.call('runGraph', { graph: id, feeds, fetches })),
    read: (names) => use((process) => process.call('readGraph', { graph: id, names })),
    async close() {
      closed ??= finish()
      await closed
    },
  }
}
