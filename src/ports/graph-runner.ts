/**
 * @file Runs ONNX graphs in an engine process: the graphs of the trained models, and the graphs that train
 * them.
 */

import type { Tensor } from '#tensor'

export interface LoadOptions {
  /** Inputs that stay with the graph between runs (weights, moments, a data set): given once, never fed. */
  readonly state?: Readonly<Record<string, Tensor>>
  /**
   * Output to copy into each state after a run: state `name` becomes output `carry[name]`. Outputs that are
   * only carried are not returned.
   */
  readonly carry?: Readonly<Record<string, string>>
}

/** ONNX graph loaded in an engine process. */
export interface LoadedGraph {
  /**
   * Runs the graph once and returns the fetched outputs by name.
   *
   * @throws ServiceError SESSION_FAILED, ENGINE_CRASHED, ENGINE_UNAVAILABLE
   */
  run<Name extends string>(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: readonly Name[],
  ): Promise<Readonly<Record<Name, Tensor>>>
  /**
   * Returns the current values of the named states.
   *
   * @throws ServiceError SESSION_FAILED, ENGINE_CRASHED, ENGINE_UNAVAILABLE
   */
  read<Name extends string>(names: readonly Name[]): Promise<Readonly<Record<Name, Tensor>>>
  /** Unloads the graph after the runs in flight have finished. Idempotent. */
  close(): Promise<void>
}

/** Runs graphs that this project generates, on the same execution provider as the language model. */
export interface GraphRunner {
  /**
   * Loads a graph.
   *
   * @param model bytes of an ONNX file.
   * @throws ServiceError SESSION_FAILED when ONNX Runtime refuses the graph; GRAPH_PRECONDITION when state
   *   or carry do not fit the graph, or this runner supports no carry; ENGINE_UNAVAILABLE; ENGINE_CRASHED
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<LoadedGraph>
}
