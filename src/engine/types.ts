/** @file What the engine room offers the API process. */

import type { GraphRunner, LatentModel } from '#ports'
import type { EngineCounters } from './counters.ts'
import type { ModelProfile } from './profile.ts'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** Text to tokens and back, with the model's own chat template. */
export interface PromptCodec {
  /** The chat template over `messages`, with the generation prompt appended. */
  encodeChat(messages: readonly ChatMessage[]): number[]
  /** Text as it stands, no special tokens added. */
  encode(text: string): number[]
  /** Tokens to text, special tokens skipped. */
  decode(tokens: readonly number[]): string
}

export interface ModelInfo {
  readonly id: string
  /** sha256 over everything that gives latents their meaning: graph, weights, embedding mean. */
  readonly fingerprint: string
  readonly directory: string
  readonly profile: ModelProfile
  /** Constant that centres embeddings, `[D]`; null = not centred. */
  readonly embeddingMean: Float32Array | null
}

/** One engine process. */
export interface ReplicaStatus {
  readonly state: 'starting' | 'ready' | 'restarting' | 'closed'
  readonly provider: 'cpu' | 'cuda'
  readonly pid: number | null
  readonly restarts: number
  /** Sessions open, and rows waiting for or in a batch. */
  readonly sessions: number
  readonly waitingRows: number
  readonly runningRows: number
  /** Sequences whose keys and values the engine process keeps, and their bytes. */
  readonly cachedSequences: number
  readonly cacheBytes: number
  /** Prompts among them that are kept for later sessions; `totals` say how often that paid. */
  readonly keptPrompts: number
}

/** All engine processes of a model: sums; `ready` while one serves; `pid` and `provider` of the first that does. */
export interface EngineStatus extends ReplicaStatus {
  /** Sessions that wait: admitted and nothing asked yet, or what they asked for is in no run. */
  readonly waitingSessions: number
  readonly replicas: readonly ReplicaStatus[]
  /** Of all engine processes so far. */
  readonly totals: Readonly<EngineCounters>
}

/** A model behind a child process. Crashes of the child reject what was in flight with ENGINE_CRASHED; it restarts. */
export interface Engine extends LatentModel {
  readonly model: ModelInfo
  readonly codec: PromptCodec
  /**
   * Graphs beside the model, run between the runs of generation, so for short ones. They are loaded again when a process was
   * restarted; nothing is carried from run to run (`carry` is refused with GRAPH_PRECONDITION).
   */
  readonly graphs: GraphRunner
  status(): EngineStatus
  close(): Promise<void>
}
