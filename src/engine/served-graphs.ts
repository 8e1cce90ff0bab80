/**
 * @file Graphs beside a model that serves, loaded in all its processes: the least loaded process runs them,
 * and a restarted process loads them again.
 */

import { ServiceError } from '#errors'
import type { GraphRunner } from '#ports'
import { type GraphProcess, openRemoteGraph } from './remote-graph.ts'

interface Processes {
  /** Sends one call to any process. */
  use<Result>(call: (process: GraphProcess) => Promise<Result>): Promise<Result>
  connections(): readonly GraphProcess[]
}

/**
 * Creates a runner that rejects `carry`: runs go to several processes, and carried state would be lost when
 * its process dies.
 */
export function createServedGraphs(processes: Processes): GraphRunner {
  let graphsLoaded = 0
  return {
    async load(model, { state = {}, carry = {} } = {}) {
      if (Object.keys(carry).length > 0) {
        throw new ServiceError(
          'GRAPH_PRECONDITION',
          `load a graph: expected no carry for a graph beside a serving model, got ${Object.keys(carry)}`,
        )
      }
      const id = ++graphsLoaded
      /**
       * Loads of the graph by process, finished or in flight; entries of dead processes are garbage
       * collected.
       */
      const holders = new WeakMap<GraphProcess, Promise<undefined>>()

      async function loadInto(process: GraphProcess): Promise<void> {
        const known = holders.get(process)
        if (known) {
          await known
          return
        }
        const loading = process.call('loadGraph', { graph: id, model, state, carry })
        holders.set(process, loading)
        try {
          await loading
        } catch (thrown) {
          holders.delete(process)
          throw thrown
        }
      }

      // The first process validates the graph; the other processes, if they fail, try again at their next
      // run.
      await processes.use(loadInto)
      await Promise.allSettled(processes.connections().map(loadInto))
      return openRemoteGraph({
        id,
        use: (task) =>
          processes.use(async (process) => {
            await loadInto(process)
            return await task(process)
          }),
        holders: () => processes.connections().filter((process) => holders.has(process)),
      })
    },
  }
}
