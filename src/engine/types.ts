/** @file Types of the engine room for the API process. */

import type { GraphRunner, LatentHead, LatentModel } from '#ports'
import type { EngineCounters } from './counters.ts'
import type { ModelProfile } from './profile.ts'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Thought of an assistant's turn; templates of models that think may repeat it. */
  readonly reasoning_content?: string
}

/** Files of a model directory from which its codec is made. */
export interface TokenizerFiles {
  /** `tokenizer.json`, parsed. */
  readonly tokenizer: Readonly<Record<string, unknown>>
  /** `tokenizer_config.json`, parsed. */
  readonly config: Readonly<Record<string, unknown>>
  /** Jinja source of the chat template. */
  readonly chatTemplate: string
}

/** Text of a model, split into its thought and its answer. */
export interface SplitText {
  /** The thought, without its tags; the whole text of a model that did not think. */
  readonly reasoning: string
  /** The text that the answer is read from; null when the thought was cut off. */
  readonly final: string | null
}

/** Converts text to tokens and back, with the model's own chat template. */
export interface PromptCodec {
  /**
   * Returns the tokens of the chat template over `messages`, with the generation prompt appended, and then
   * `prefill`, the beginning of the assistant's turn; nothing unless given.
   */
  encodeChat(messages: readonly ChatMessage[], prefill?: string): number[]
  /**
   * Returns the tokens of that conversation after the text of its last assistant turn, whatever the text is.
   *
   * @throws ServiceError MODEL_UNSUPPORTED when the template does not repeat the turn
   */
  encodeAfterAnswer(messages: readonly ChatMessage[], prefill?: string): number[]
  /** Returns the text of the chat template over `messages`, whose tokens `encodeChat` returns. */
  renderChat(messages: readonly ChatMessage[]): string
  /** Returns the tokens of the text alone, without special tokens. */
  encode(text: string): number[]
  /**
   * Returns a caller's or the model's text for use in a turn: `encodeChat` reads the control tokens in it as
   * plain text. A text without control tokens is returned as it is.
   */
  quote(text: string): string
  /** Returns the text of the tokens, without special tokens other than the tags of thoughts. */
  decode(tokens: readonly number[]): string
  /** Tokens that close a thought; null for a model without thinking tags. */
  readonly thoughtEnd: readonly number[] | null
  /** Splits a text that the model wrote after the generation prompt and `prefill`; none unless given. */
  splitThought(text: string, prefill?: string): SplitText
}

export interface ModelInfo {
  readonly id: string
  /**
   * sha256 over everything that determines the meaning of latents and embeddings: graph, weights, config,
   * embedding mean, layer and tokens, tokenizer, chat template with its variables and date, and the solver's prompts.
   */
  readonly fingerprint: string
  /**
   * sha256 over everything that determines the meaning of a reward under the same model: judge, format rules,
   * weights, and where the answer stands. Rewards of different judges are not compared.
   */
  readonly judgeFingerprint: string
  /**
   * sha256 over everything that determines the keys of answers: where an answer stands, and which are the same. Keys
   * of other rules are not compared.
   */
  readonly answerRules: string
  readonly directory: string
  readonly profile: ModelProfile
  /** Constant that centres embeddings, `[D]`; null: not centred. */
  readonly embeddingMean: Float32Array | null
}

/** Status of one engine process. */
export interface ReplicaStatus {
  /** `unhealthy`: the last process did not answer, was killed, and is not replaced yet. */
  readonly state: 'starting' | 'ready' | 'restarting' | 'unhealthy' | 'closed'
  readonly provider: 'cpu' | 'cuda'
  readonly pid: number | null
  readonly restarts: number
  /** Milliseconds since the last message of the process, which answers a ping each second; null without it. */
  readonly heartbeatAgeMs: number | null
  /** Open sessions, and rows waiting for or in a batch. */
  readonly sessions: number
  readonly waitingRows: number
  readonly runningRows: number
  /** Number of sequences with keys and values kept by the engine process, and their bytes. */
  readonly cachedSequences: number
  readonly cacheBytes: number
  /** Prompts among them that are kept for later sessions; `totals` count their reuse. */
  readonly keptPrompts: number
}

/**
 * Sums over all engine processes of a model; `ready` while one is ready; `pid` and `provider` of the first
 * ready process; the greatest `heartbeatAgeMs`.
 */
export interface EngineStatus extends ReplicaStatus {
  /** Number of waiting sessions: admitted without a call yet, or with a call whose rows are in no run. */
  readonly waitingSessions: number
  readonly replicas: readonly ReplicaStatus[]
  /** Counters of all engine processes so far. */
  readonly totals: Readonly<EngineCounters>
}

/**
 * A model in a child process. When the child dies or hangs, calls in flight fail with ENGINE_CRASHED or
 * ENGINE_CRASHED_BY_REQUEST, and it is restarted.
 */
export interface Engine extends LatentModel {
  readonly model: ModelInfo
  readonly codec: PromptCodec
  /**
   * Runs graphs beside the model, between the runs of generation, so they must be short. A restarted process
   * loads them again. No state is carried from run to run (`carry` is rejected with GRAPH_PRECONDITION).
   */
  readonly graphs: GraphRunner
  /** Returns the head of the model for the calls of a key or an address: callers take turns. `head` is for all others. */
  headOf(caller: string): LatentHead
  /**
   * Throws as `open` would when too many rows of the caller wait, so that a request can be refused before its prompt is
   * written.
   *
   * @throws ServiceError ENGINE_OVERLOADED
   */
  checkRoom(caller?: string): void
  status(): EngineStatus
  close(): Promise<void>
}
