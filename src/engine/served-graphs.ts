/** @file Graphs beside the model, in all its processes: run by the least loaded, loaded again after a restart. */

import type { GraphRunner } from '#algorithms'
import { ServiceError } from '#errors'
import { type GraphProcess, openRemoteGraph } from './remote-graph.ts'

/** Where graphs are served: see `Replicas`. */
interface Places {
  place(): Promise<{ readonly connection: GraphProcess; addRows(rows: number): () => void }>
  connections(): readonly GraphProcess[]
}

/** A runner that refuses `carry`: runs go to several processes, and what one carried would die with it. */
export function createServedGraphs(places: Places): GraphRunner {
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
      const { connection } = await places.place()
      await loadInto(connection)
      await Promise.allSettled(places.connections().map(loadInto))
      return openRemoteGraph({
        id,
        async use(task) {
          const place = await places.place()
          const done = place.addRows(1)
          try {
            await loadInto(place.connection)
            return await task(place.connection)
          } finally {
            done()
          }
        },
        holders: () => places.connections().filter((process) => holders.has(process)),
      })
    },
  }
}
