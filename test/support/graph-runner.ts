/** @file The graphs of an engine process, in this process: real ONNX Runtime without messages. */

import type { GraphRunner } from '#algorithms'
import { createGraphs } from '../../src/engine/child/graphs.ts'

/** Runs one thing at a time, as a session needs it. */
export function graphRunner(): GraphRunner & { readonly open: () => number } {
  let last = Promise.resolve<unknown>(undefined)
  const graphs = createGraphs({
    provider: 'cpu',
    cudaDevice: 0,
    threads: 1,
    turn: (task) => {
      const turn = last.then(task)
      last = turn.catch(() => undefined)
      return turn
    },
  })
  let loaded = 0
  const open = new Set<number>()
  return {
    open: () => open.size,
    async load(model, { state = {}, carry = {} } = {}) {
      const graph = ++loaded
      await graphs.loadGraph({ graph, model, state, carry })
      open.add(graph)
      return {
        run: async (feeds, fetches) => (await graphs.runGraph({ graph, feeds, fetches })) as never,
        read: async (names) => (await graphs.readGraph({ graph, names })) as never,
        async close() {
          if (open.delete(graph)) await graphs.closeGraph({ graph })
        },
      }
    },
  }
}
