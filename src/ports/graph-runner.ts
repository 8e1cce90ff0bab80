/** @file The process that runs ONNX graphs for the algorithms, to train them or to serve them. */

import type { Tensor } from '#tensor'

export interface LoadOptions {
  /** Inputs that stay with the graph between runs (weights, moments, a data set): given once, never fed. */
  readonly state?: Readonly<Record<string, Tensor>>
  /** After every run state `name` becomes output `carry[name]`. Outputs that are only carried are not returned. */
  readonly carry?: Readonly<Record<string, string>>
}

/** An ONNX graph in an engine process. */
export interface LoadedGraph {
  /** One run. @throws ServiceError SESSION_FAILED, ENGINE_CRASHED */
  run<Name extends string>(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: readonly Name[],
  ): Promise<Readonly<Record<Name, Tensor>>>
  /** State as it is now. */
  read<Name extends string>(names: readonly Name[]): Promise<Readonly<Record<Name, Tensor>>>
  /** Idempotent; runs in flight finish. */
  close(): Promise<void>
}

/** Runs graphs of this project's making, trained or training, on the execution provider that serves. */
export interface GraphRunner {
  /**
   * @throws ServiceError SESSION_FAILED when ONNX Runtime refuses the graph, GRAPH_PRECONDITION when state or carry do not fit
   * it or this runner carries nothing, ENGINE_UNAVAILABLE, ENGINE_CRASHED
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<LoadedGraph>
}
