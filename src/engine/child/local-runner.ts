/** @file A graph runner for tasks inside an engine process: no message, no copy. */

import type { GraphRunner } from '#ports'
import type { GraphOperationName, Handlers } from '../protocol.ts'
import { type GraphProcess, openRemoteGraph } from '../remote-graph.ts'

/**
 * Creates a runner over the graph handlers of this process. It numbers its graphs downwards from -1, because
 * callers in other processes count upwards.
 */
export function createLocalRunner(handlers: Handlers<GraphOperationName>): GraphRunner {
  const here: GraphProcess = { call: async (operation, params) => await handlers[operation](params) }
  let loaded = 0
  return {
    async load(model, { state = {}, carry = {} } = {}) {
      loaded += 1
      const id = -loaded
      await here.call('loadGraph', { graph: id, model, state, carry })
      return openRemoteGraph({ id, use: (task) => task(here), holders: () => [here] })
    },
  }
}
