/** @file Trained graphs are tried before anybody relies on them. */

import { hasCode } from '#errors'
import type { GraphRunner, LoadedGraph } from '#ports'

/**
 * Loads a graph and proves it by one use; a graph that cannot be proved is closed again.
 *
 * @throws what `verify` throws; `refuse(error)` where ONNX Runtime refuses the graph or its run (SESSION_FAILED). What the engine
 *   process does wrong (ENGINE_CRASHED, ENGINE_UNAVAILABLE) passes as it is.
 */
export async function loadVerified(
  runner: GraphRunner,
  bytes: Uint8Array,
  verify: (graph: LoadedGraph) => Promise<unknown>,
  refuse: (error: unknown) => Error,
): Promise<LoadedGraph> {
  let graph: LoadedGraph | undefined
  try {
    graph = await runner.load(bytes)
    await verify(graph)
    return graph
  } catch (error) {
    await graph?.close()
    throw hasCode(error, 'SESSION_FAILED') ? refuse(error) : error
  }
}
