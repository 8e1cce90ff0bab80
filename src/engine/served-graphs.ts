/** @file Graphs beside the model, in all its processes: run by the least loaded, loaded again after a restart. */

import { ServiceError } from '#errors'
import type { GraphRunner } from '#ports'
import { type GraphProcess, openRemoteGraph } from './remote-graph.ts'

interface Processes {
  /** One call that any process can answer. */
  use<Result>(call: (process: GraphProcess) => Promise<Result>): Promise<Result>
  connections(): readonly GraphProcess[]
}

/** A runner that refuses `carry`: runs go to several processes, and what one carried would die with it. */
export function createServedGraphs(processes: Processes): GraphRunner {
  let graphsLoaded = 0
  return {
    async load(model, { state = {}, carry = {} } = {}) {
      if (Object.keys(carry).length > 0) {
        throw new ServiceError(
          'GRAPH_PRECONDITION',
          `load a graph: expected nothing to carry beside a model that serves, got ${Object.keys(carry)}`,
        )
      }
      const id = ++graphsLoaded
      /** Processes that have the graph, or are loading it; those that died are forgotten. */
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

      // One tells whether the graph is any good; the others, when they fail, are tried again when it is their turn.
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
