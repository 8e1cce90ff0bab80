/**
 * @file Messages between the API process and an engine process, and the roles of an engine process. Messages
 * arrive in order.
 */

import { coerceError, ERROR_CODES, type ErrorCode, ServiceError } from '#errors'
import type {
  AscentRequest,
  AscentResult,
  Continuation,
  GenerationRow,
  Latents,
  LatentThought,
  LikelyToken,
  Priority,
  ScoreRow,
  TokenMaps,
  TokenSpan,
} from '#ports'
import type { Tensor } from '#tensor'
import type { EngineCounters } from './counters.ts'
import type { ModelConfig } from './model-config.ts'
import type { RecurrenceProfile } from './profile.ts'
import type { RecurrentThinking } from './recurrent-thinking.ts'

/** Options of every engine process. */
interface ProcessOptions {
  readonly executionProvider: 'auto' | 'cpu' | 'cuda'
  readonly cudaDevice: number
  /** Threads inside one operator; null: the engine chooses. */
  readonly threads: number | null
}

/** Options of a training process. */
export interface TrainOptions extends ProcessOptions {
  /** URL of the module whose default export is the `TaskProgram`; null for a process that only runs graphs. */
  readonly program: string | null
}

/** Options of an engine process that serves a model. */
export interface ServeOptions extends ProcessOptions {
  /** The checked step graph; its folder holds its external data. */
  readonly graphFile: string
  /** `config.json`. */
  readonly config: Readonly<Record<string, unknown>>
  readonly sizes: ModelConfig
  /** Recurrences of a depth-recurrent model; null by default: an ordinary decoder. */
  readonly recurrence?: RecurrenceProfile | null
  /** Number of engine processes that share the cores and memory of this machine, this one included. */
  readonly replicas: number
  /**
   * Memory that the engine processes of the model may take together, in bytes: of the machine, or on CUDA of the
   * devices; null: the engine chooses. Null by default.
   */
  readonly memoryBytes?: number | null
  /** Whether the process runs at the lowest priority of the operating system. */
  readonly inBackground?: boolean
}

/** A row of `generate` in a message: functions cannot be sent. */
export type WireRow = Omit<GenerationRow, 'onTokens'> & {
  /** Number under which the row's tokens are sent as they are decoded; not sent unless given. */
  readonly stream?: number
}

type Tensors = Readonly<Record<string, Tensor>>

/** Operations on graphs that are loaded beside or instead of a model. */
interface GraphOperations {
  /** Loads a graph under the number `graph`, which the caller chooses. */
  loadGraph: {
    params: {
      readonly graph: number
      readonly model: Uint8Array
      readonly state: Tensors
      readonly carry: Readonly<Record<string, string>>
    }
    result: undefined
  }
  runGraph: {
    params: { readonly graph: number; readonly feeds: Tensors; readonly fetches: readonly string[] }
    result: Tensors
  }
  readGraph: { params: { readonly graph: number; readonly names: readonly string[] }; result: Tensors }
  /** Does nothing when there is no such graph. */
  closeGraph: { params: { readonly graph: number }; result: undefined }
}
export type GraphOperationName = keyof GraphOperations

/** Operations of a process that serves a model. */
interface ServeOperations extends GraphOperations {
  embed: { params: { readonly session: number }; result: Float32Array }
  pool: { params: TokenSpan & { readonly session: number }; result: LatentThought }
  generate: {
    params: { readonly session: number; readonly rows: readonly WireRow[] }
    result: Continuation[]
  }
  score: {
    params: {
      readonly session: number
      readonly rows: readonly ScoreRow[]
      readonly tokens: readonly number[]
    }
    result: Float32Array[]
  }
  /**
   * A call of the head is bounded in time. The result may have fewer updates than the request asks for, or one
   * update of its first positions.
   */
  ascend: { params: AscentRequest & ByCaller; result: AscentResult }
  /** The result may have the tokens of the first positions only. */
  decode: { params: Latents & ByCaller; result: number[] }
  /** The result may have the tokens of the first positions only. */
  likelyTokens: {
    params: { readonly latents: Latents; readonly count: number } & ByCaller
    result: LikelyToken[][]
  }
  /** `uniforms` `[S][M]`; the result `[S][M]` may have the first positions only. */
  sample: {
    params: {
      readonly latents: Latents
      readonly uniforms: readonly Float32Array[]
      readonly temperature: number
    } & ByCaller
    result: number[][]
  }
}

/** A call of the head, among which callers take turns. */
interface ByCaller {
  readonly caller: string
}

/** Operations on tasks of the training program; the caller chooses their numbers. */
interface TaskOperations {
  openTask: { params: { readonly task: number; readonly name: string }; result: undefined }
  addRows: { params: { readonly task: number; readonly rows: readonly unknown[] }; result: undefined }
  /** `byteLength`: size of the model that the task has made, which `readResult` returns in pieces. */
  runTask: {
    params: { readonly task: number; readonly options: unknown }
    result: { readonly value: unknown; readonly byteLength: number | null }
  }
  readResult: {
    params: { readonly task: number; readonly from: number; readonly length: number }
    result: Uint8Array
  }
  /** Stops the task when it runs. Does nothing when there is no such task. */
  closeTask: { params: { readonly task: number }; result: undefined }
}
export type TaskOperationName = keyof TaskOperations

interface TrainOperations extends GraphOperations, TaskOperations {
  /** Returns the peak memory of the process so far, in bytes. */
  peakMemory: { params: undefined; result: number }
}

/** Roles of an engine process. Each process has one role for life. */
export interface Roles {
  serve: { readonly options: ServeOptions; readonly operations: ServeOperations }
  train: { readonly options: TrainOptions; readonly operations: TrainOperations }
}
export type RoleName = keyof Roles
export type OperationOf<Role extends RoleName> = keyof Roles[Role]['operations'] & OperationName

/** All operations that are answered, by name. */
export interface Operations extends ServeOperations, TrainOperations {}
export type OperationName = keyof Operations

/** Functions that answer the calls of a role. */
export type Handlers<Name extends OperationName> = {
  readonly [Each in Name]: (params: Operations[Each]['params']) => Promise<Operations[Each]['result']>
}

export type StartRole<Name extends RoleName> = (
  options: Roles[Name]['options'],
  provider: 'cpu' | 'cuda',
  send: (message: MessageFromChild) => void,
) => Promise<StartedRole<Name>>

export interface StartedRole<Name extends RoleName> {
  /** Each call is answered by one `result` or one `error`. */
  readonly handlers: Handlers<OperationOf<Name>>
  /** Takes the messages that have no answer. */
  readonly receive?: (message: SessionMessage) => void
  /** States of a latent thought of the model; 0 by default. */
  readonly thoughtLayers?: number
}

export type Call = {
  [Name in OperationName]: {
    readonly type: 'call'
    readonly id: number
    readonly operation: Name
    readonly params: Operations[Name]['params']
  }
}[OperationName]

/** Messages to an engine process that serves a model; they have no answer. */
export type SessionMessage =
  | {
      readonly type: 'open'
      readonly session: number
      readonly prompt: readonly number[]
      readonly priority: Priority
      readonly caller: string
      readonly deadlineMs: number | null
      /** Milliseconds from now after which `stopSession` will come; null: not known, or never. */
      readonly stopAfterMs: number | null
      /** Whether its rows share no run with those of other sessions. */
      readonly isolated: boolean
      /** Maps that score the tokens of its answers. */
      readonly tokenMaps: TokenMaps | null
      /** Null for an ordinary decoder. */
      readonly thinking: RecurrentThinking | null
    }
  | { readonly type: 'close'; readonly session: number }
  /** Continuations in progress are answered with the tokens that they have; other calls fail with ABORTED. */
  | { readonly type: 'stopSession'; readonly session: number }
  /** The continuation of one row is answered with the tokens that it has. */
  | { readonly type: 'endRow'; readonly session: number; readonly stream: number }

export type MessageToChild =
  | { readonly type: 'start'; readonly options: Roles[RoleName]['options'] }
  | { readonly type: 'stop' }
  /** Answered by `pong` between runs. */
  | { readonly type: 'ping' }
  | SessionMessage
  | Call

/** Work that the engine process has at the moment. */
export interface ChildLoad {
  readonly sessions: number
  readonly waitingRows: number
  readonly runningRows: number
  /** Sessions with a row in a run. */
  readonly runningSessions: number
  /** Number of sequences with kept keys and values, and their bytes. */
  readonly cachedSequences: number
  readonly cacheBytes: number
  /** Prompts kept for later sessions. */
  readonly keptPrompts: number
}

type LogLevel = 'debug' | 'info' | 'warn' | 'error'

export interface Ready {
  readonly type: 'ready'
  readonly provider: 'cpu' | 'cuda'
  /** States of a latent thought; 0 when the model gives none, or there is no model. */
  readonly thoughtLayers: number
}

export type MessageFromChild =
  | Ready
  | { readonly type: 'failed'; readonly error: WireError }
  | { readonly type: 'pong' }
  /**
   * The sessions whose rows are in the run that now begins; none before other work, and when there is no more
   * work. Sent when they change. If the process dies, its death may be due to these sessions.
   */
  | { readonly type: 'running'; readonly sessions: readonly number[] }
  /** The process answers nothing until the run that now begins is over, in about `expectedMs`. */
  | { readonly type: 'busy'; readonly expectedMs: number }
  | { readonly type: 'result'; readonly id: number; readonly value: Operations[OperationName]['result'] }
  | { readonly type: 'error'; readonly id: number; readonly error: WireError }
  /** Tokens that a run has decoded for a row with a `stream`; sent before the result of the row. */
  | {
      readonly type: 'tokens'
      readonly session: number
      readonly stream: number
      readonly tokens: readonly number[]
    }
  /** Share of a task's work that is done, in [0, 1]. */
  | { readonly type: 'progress'; readonly task: number; readonly share: number }
  | { readonly type: 'load'; readonly load: ChildLoad; readonly totals: EngineCounters }
  | {
      readonly type: 'log'
      readonly level: LogLevel
      readonly message: string
      readonly fields: Readonly<Record<string, unknown>>
    }

/** An error in a message; a structured clone of the error would lose its class and code. */
export interface WireError {
  readonly code: ErrorCode
  readonly message: string
  readonly stack: string | undefined
}

export function toWireError(thrown: unknown): WireError {
  const error = coerceError(thrown)
  const code = 'code' in error ? ERROR_CODES.find((known) => known === error.code) : undefined
  return { code: code ?? 'INTERNAL', message: error.message, stack: error.stack }
}

/** Restores an error, with the stack of the process that threw it. */
export function fromWireError({ code, message, stack }: WireError): ServiceError {
  const error = new ServiceError(code, message)
  if (stack !== undefined) error.stack = stack
  return error
}
