/** @file Loads a trained graph and verifies it by one run before it is used. */

import { hasCode } from '#errors'
import type { GraphRunner, LoadedGraph } from '#ports'

/**
 * Loads a graph and calls `verify` with it; closes the graph again when that fails.
 *
 * @throws any error of `verify`; `invalid(error)` when ONNX Runtime refuses the graph or its run
 *   (SESSION_FAILED). Errors of the engine process (ENGINE_CRASHED, ENGINE_UNAVAILABLE) are rethrown
 *   unchanged.
 */
export async function loadVerified(
  runner: GraphRunner,
  bytes: Uint8Array,
  verify: (graph: LoadedGraph) => Promise<unknown>,
  invalid: (error: unknown) => Error,
): Promise<LoadedGraph> {
  let graph: LoadedGraph | undefined
  try {
    graph = await runner.load(bytes)
    await verify(graph)
    return graph
  } catch (error) {
    await graph?.close()
    throw hasCode(error, 'SESSION_FAILED') ? invalid(error) : error
  }
}
