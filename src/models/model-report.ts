/** @file The report of a model directory: what `circadian model check --json` prints. Shapes: docs/shapes.md. */

import type { ModelDirectory } from '#engine'

export interface ModelReport {
  readonly directory: string
  /** Whether the service can serve it: no faults. */
  readonly servable: boolean
  /** Texts of the errors with which the service would refuse it. */
  readonly faults: readonly string[]
  /** Null for a directory that cannot be read. */
  readonly model: ModelFacts | null
  /** Null when the model was not loaded into ONNX Runtime, or does not run there. */
  readonly run: ModelRun | null
}

/** Facts from the files alone. */
export interface ModelFacts {
  readonly id: string
  readonly fingerprint: string
  readonly judgeFingerprint: string
  /** `hub`: graphs in `onnx/`; `exporter`: graphs beside `config.json`. */
  readonly layout: 'hub' | 'exporter'
  /** Files that are read for serving, relative to the directory. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[]
  readonly graph: string
  readonly externalData: readonly string[]
  /** Bytes of graph and external data. */
  readonly weightBytes: number
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly head: {
    readonly kind: 'dense' | 'quantized'
    /** Type of its weights as stored, such as `float16` or `int4`. */
    readonly dtype: string
    readonly vocabularySize: number
    readonly hiddenSize: number
  }
  /** L. */
  readonly layers: number
  /** Core of a depth-recurrent model: R, and its number of layers; null for an ordinary decoder. */
  readonly core: { readonly maxSteps: number; readonly layers: number } | null
  /** States of a latent thought, L + 1, or R of a depth-recurrent model; 0: the model serves without thoughts. */
  readonly layerStates: number
  readonly cache: {
    /** K. */
    readonly heads: number
    /** h. */
    readonly headSize: number
    readonly dtype: 'float32' | 'float16'
    readonly bytesPerPosition: number
  }
  readonly padding: 'any' | 'right' | 'equal'
  readonly contextLength: number
  readonly tokenizer: { readonly eosTokenIds: readonly number[]; readonly padTokenId: number }
  /** The solver's prompt with `{question}` in its place. */
  readonly prompt: { readonly text: string; readonly tokens: number }
  /** Weights, and weights + B x (P + T) x bytes of a cache position, for B rows of P + T tokens. */
  readonly memory: readonly {
    readonly rows: number
    readonly tokens: number
    readonly bytes: number
  }[]
  /** `circadian.json`, `models/profiles/NAME`, or `default`. */
  readonly profileSource: string
  readonly profile: ModelDirectory['info']['profile']
  /** Sentences that the service logs at start: what was assumed, chosen or limited. */
  readonly notes: readonly string[]
}

/** Outcome of running the model in ONNX Runtime. */
export interface ModelRun {
  readonly provider: 'cpu' | 'cuda'
  /** Sentence of the engine on its choice of a provider. */
  readonly providerReason: string
  /** Time, in ms, to start a process, compile the graphs and run each of them once. */
  readonly loadMs: number
  /** Greedy continuation of the example prompt. */
  readonly text: string
  readonly tokens: number
  /** Time, in ms, of the prefill and of all decode steps. */
  readonly decodeMs: number
}
