/** @file A graph runner on real ONNX Runtime, in the test process instead of an engine process. */

import type { GraphRunner } from '#ports'
import { createGraphs, createMutex } from '../../src/engine/child/graphs.ts'
import type { GraphOperationName, Handlers } from '../../src/engine/protocol.ts'
import { type GraphProcess, openRemoteGraph } from '../../src/engine/remote-graph.ts'

/** Creates a runner like a trainer's: it supports `state` and `carry`, and runs one graph at a time. */
export function graphRunner(): GraphRunner & {
  /** Number of graphs loaded and not closed. */
  readonly open: () => number
} {
  const here = processHere()
  const open = new Set<number>()
  let graphsLoaded = 0
  return {
    open: () => open.size,
    async load(model, { state = {}, carry = {} } = {}) {
      const id = ++graphsLoaded
      await here.call('loadGraph', { graph: id, model, state, carry })
      open.add(id)
      const graph = openRemoteGraph({ id, use: (task) => task(here), holders: () => [here] })
      return {
        ...graph,
        async close() {
          await graph.close()
          open.delete(id)
        },
      }
    },
  }
}

/** Handles graph calls as an engine process does, without the process boundary. */
function processHere(): GraphProcess {
  const handlers: Handlers<GraphOperationName> = createGraphs({
    provider: 'cpu',
    cudaDevice: 0,
    threads: 1,
    turn: createMutex(),
  })
  return { call: async (operation, params) => await handlers[operation](params) }
}
