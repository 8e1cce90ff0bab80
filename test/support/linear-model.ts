/**
 * @file An `Engine` small enough to compute by hand. Its LM head is a matrix `W` `[V, D]`, by default the
 * identity, so that a latent equals its logits. The first word of an answer chooses a route; a table holds
 * the rest of the route and the judge's verdict on it. Gradient and Adam are exact, in fp64.
 */

import type { ChatMessage, Engine, ModelProfile, PromptCodec } from '#engine'
import { ServiceError } from '#errors'
import type {
  AscentRequest,
  AscentResult,
  Continuation,
  GenerationRow,
  LatentHead,
  LatentSession,
  Latents,
  LatentThought,
  ScoreRow,
  SessionOptions,
  TokenSignals,
} from '#ports'
import { argmax, createRandom, dot, softmax } from '#tensor'
import { zeroCounters } from '../../src/engine/counters.ts'
import { graphRunner } from './graph-runner.ts'
import { drawFrom, weightsByRules } from './sample-by-rules.ts'

const WORDS = (
  '<end> <system> <user> <assistant> <unk> a b c d e : ; ans + - * = ? check true false wise foolish ' +
  '0 1 2 3 4 5 6 7 8 9'
).split(' ')
export const END = 0
export const VOCABULARY = WORDS.length

export function tokenOf(word: string): number {
  const token = WORDS.indexOf(word)
  return token === -1 ? WORDS.indexOf('<unk>') : token
}

export function encode(text: string): number[] {
  return text.split(/\s+/).filter(Boolean).map(tokenOf)
}

function decode(tokens: readonly number[]): string {
  return tokens
    .filter((token) => token > tokenOf('<assistant>'))
    .map((token) => WORDS[token])
    .join(' ')
}

export interface Route {
  /** Words after the first word; the end token follows them unless `endless`. */
  readonly rest: string
  /** P(true) of the judge by prompt of the criterion; the prompt is `check` when there is only one. */
  readonly verdicts: Readonly<Record<string, number>>
  readonly endless?: boolean
  /** Log-probability and self-certainty of every decoded token; -0.5 and 5 by default. */
  readonly logProbability?: number
  readonly selfCertainty?: number
}

export interface World {
  /** Routes by their first word. */
  readonly routes: Readonly<Record<string, Route>>
  /** Logits of first words in the first latent of the draft; all other words have -30. */
  readonly firstLogits: Readonly<Record<string, number>>
  readonly head?: readonly Float64Array[]
  /** Entropies of the tokens of an answer; all alike by default. */
  readonly entropies?: readonly number[]
  /** Called before every call to the model; may throw, abort a signal, or delay. */
  readonly before?: (call: Call) => void | Promise<void>
  readonly profile?: Partial<ModelProfile>
  /**
   * Returns the number of tokens of a requested row that are decoded when its session is stopped meanwhile; 0 by
   * default.
   */
  readonly decodedWhenStopped?: (row: GenerationRow, index: number) => number
  readonly codec?: Partial<PromptCodec>
  /** Number of tokens of a run, after which rows with `onTokens` receive them; they never do by default. */
  readonly runTokens?: number
  /** Returns the judge's text for a sequence; it is cut at the row's token limit. */
  readonly says?: (asked: readonly number[]) => string
  /** Returns the thought of an answer; by default made of the head's rows of its tokens. */
  readonly thought?: (tokens: readonly number[]) => LatentThought
  /** Returns the state of the last prompt token. */
  readonly state?: (prompt: readonly number[]) => Float32Array
}

export type Call =
  | 'open'
  | 'embed'
  | 'pool'
  | 'generate'
  | 'score'
  | 'ascend'
  | 'decode'
  | 'sample'
  | 'likelyTokens'

export interface LinearModel extends Engine {
  /** Number of calls by kind. */
  readonly calls: Readonly<Record<Call, number>>
  /** Options of every opened session. */
  readonly opened: readonly SessionOptions[]
  /** Callers whose heads were asked for. */
  readonly headsOf: readonly string[]
  /** Rows of all requested answers. */
  readonly asked: readonly GenerationRow[]
  /** Non-empty prefixes of requested answers, in order. */
  readonly grown: readonly (readonly number[])[]
  /** Full token sequences sent to the judge, in order. */
  readonly judged: readonly (readonly number[])[]
  readonly openSessions: number
}

const FAR_BELOW = -30

export const TEST_PROFILE: ModelProfile = {
  template: { variables: {}, date: '2024-07-26' },
  solver: { system: '', template: '{question}' },
  judge: {
    mode: 'continuation',
    verdict: 'logit',
    maxNewTokens: 16,
    criteria: [{ name: 'correctness', prompt: 'check', true: ['true'], false: ['false'], weight: 1 }],
  },
  answer: { pattern: 'ans (\\d)', normalise: ['trim'] },
  format: { mustEnd: true },
  embedding: { token: 'last', mean: null },
  defaults: {
    latents: 4,
    rho: 0.1,
    direction: 'gradient',
    lr: 0.1,
    beta1: 0.9,
    maxIterations: 50,
    patience: 10,
    stopReward: -0.2,
    admitReward: -0.5,
    admitConfidence: 0.25,
    samples: 8,
    sampling: {},
    beta: 0.01,
    topK: 3,
    minSimilarity: 0.5,
    retrievalTemperature: 1,
    maxShift: 1,
    momentum: 'residual',
    shifts: 'agreeing',
    draft: 'full',
    searchPays: true,
    selector: 'reward',
    rollouts: 1,
    rolloutTemperature: 1,
    marginSteps: 3,
    thoughts: 16,
    maxNewTokens: 48,
    rewardWeights: {},
  },
}

export function createLinearModel(world: World): LinearModel {
  const record = createRecord(world)
  const matrix = world.head ?? identity(VOCABULARY)
  return {
    calls: record.calls,
    opened: record.opened,
    headsOf: record.headsOf,
    asked: record.asked,
    grown: record.grown,
    judged: record.judged,
    head: createHead(matrix, record),
    headOf(caller) {
      record.headsOf.push(caller)
      return createHead(matrix, record)
    },
    checkRoom() {},
    get openSessions() {
      return record.openSessions
    },
    hiddenSize: matrix[0]!.length,
    thoughtLayers: 2,
    scoredLayers: 1,
    contextLength: 256,
    eosTokenIds: [END],
    async open(prompt, options) {
      await untilStopped(options.stopSignal, () => record.enter('open', options.signal))
      record.opened.push(options)
      return openSession(world, matrix, record, prompt, options)
    },
    model: {
      id: 'linear',
      fingerprint: 'linear-fingerprint',
      judgeFingerprint: 'linear-judge',
      answerRules: 'linear-answers',
      directory: '/nowhere',
      profile: { ...TEST_PROFILE, ...world.profile },
      embeddingMean: null,
    },
    codec: {
      encode,
      decode,
      encodeChat,
      encodeAfterAnswer: (messages) => {
        const last = messages.findLastIndex(({ role }) => role === 'assistant')
        return [END, ...encodeChat(messages.slice(last + 1))]
      },
      renderChat: (messages) => messages.map(({ content }) => content).join(' '),
      quote: (text) => text,
      thoughtEnd: null,
      splitThought: (text) => ({ reasoning: text, final: text }),
      ...world.codec,
    },
    graphs: graphRunner(),
    status: () => ({
      state: 'ready',
      provider: 'cpu',
      pid: null,
      restarts: 0,
      sessions: record.openSessions,
      waitingSessions: 0,
      waitingRows: 0,
      runningRows: 0,
      keptPrompts: 0,
      heartbeatAgeMs: 0,
      replicas: [],
      cachedSequences: 0,
      cacheBytes: 0,
      totals: zeroCounters(),
    }),
    close: async () => {},
  }
}

type CallRecord = ReturnType<typeof createRecord>

/** Records every call to the model; `enter` runs `world.before` and throws when the signal is aborted. */
function createRecord(world: World) {
  const calls = {
    open: 0,
    embed: 0,
    pool: 0,
    generate: 0,
    score: 0,
    ascend: 0,
    decode: 0,
    sample: 0,
    likelyTokens: 0,
  }
  return {
    calls,
    opened: [] as SessionOptions[],
    headsOf: [] as string[],
    asked: [] as GenerationRow[],
    grown: [] as (readonly number[])[],
    judged: [] as (readonly number[])[],
    openSessions: 0,
    async enter(call: Call, signal: AbortSignal) {
      calls[call] += 1
      await world.before?.(call)
      if (signal.aborted)
        throw new ServiceError('ABORTED', `${call}: expected a live caller, got an aborted signal`)
    },
  }
}

function createHead(matrix: readonly Float64Array[], { enter }: CallRecord): LatentHead {
  const arithmetic = linearHead(matrix)
  return {
    async ascend(request, signal) {
      await enter('ascend', signal)
      return arithmetic.ascend(request)
    },
    async decode(latents, signal) {
      await enter('decode', signal)
      return arithmetic.decode(latents)
    },
    async likelyTokens(latents, count, signal) {
      await enter('likelyTokens', signal)
      return arithmetic.logits(latents).map((logits) =>
        Array.from(softmax(logits, 1), (probability, token) => ({ token, probability }))
          .sort((a, b) => b.probability - a.probability)
          .slice(0, count),
      )
    },
    async sample(latents, { rollouts, temperature, seed }, signal) {
      await enter('sample', signal)
      const random = createRandom(seed)
      return Array.from({ length: rollouts }, () =>
        arithmetic.logits(latents).map((logits) => draw(softmax(logits, temperature), random.uniform())),
      )
    },
  }
}

function openSession(
  world: World,
  matrix: readonly Float64Array[],
  record: CallRecord,
  prompt: readonly number[],
  { signal, stopSignal }: SessionOptions,
): LatentSession {
  const sequences: (readonly number[])[] = [[...prompt]]
  let closed = false
  record.openSessions += 1
  return {
    prompt: 0,
    promptTokens: prompt.length,
    async embed() {
      await untilStopped(stopSignal, () => record.enter('embed', signal))
      return (
        world.state?.(prompt) ?? Float32Array.from({ length: matrix[0]!.length }, (_, i) => (i === 0 ? 1 : 0))
      )
    },
    async pool({ from, to }) {
      await untilStopped(stopSignal, () => record.enter('pool', signal))
      return thoughtOf(matrix, prompt.slice(from, to))
    },
    async generate(rows) {
      const isStopped = await isStoppedDuring(stopSignal, () => record.enter('generate', signal))
      return rows.map((row, index) => {
        if (row.sequence !== undefined) {
          const sequence = [...sequences[row.sequence]!, ...row.prefix]
          record.judged.push(sequence)
          if (isStopped)
            return { ...writeVerdict({ ...row, maxNewTokens: 0 }, []), finish: 'aborted' as const }
          return writeVerdict(row, encode(world.says?.(sequence) ?? ''))
        }
        record.asked.push(row)
        if (row.prefix.length > 0) record.grown.push(row.prefix)
        const whole = streamed(world, matrix, row)
        const decoded = isStopped ? (world.decodedWhenStopped?.(row, index) ?? 0) : whole.generatedTokens
        const continuation =
          decoded < whole.generatedTokens
            ? { ...grow(world, matrix, { ...row, maxNewTokens: decoded }), finish: 'aborted' as const }
            : whole
        sequences.push([...prompt, ...continuation.tokens])
        return { ...continuation, sequence: sequences.length - 1 }
      })
    },
    async score(rows, tokens) {
      await untilStopped(stopSignal, () => record.enter('score', signal))
      return rows.map((row) => {
        const sequence = [...sequences[row.sequence]!, ...row.suffix]
        record.judged.push(sequence)
        return Float32Array.from(tokens, (token) => verdictLogit(world, prompt, sequence, row, token))
      })
    },
    close() {
      if (!closed) record.openSessions -= 1
      closed = true
    },
  }
}

/** Whether the session is stopped during `work`, which then goes on. @throws ServiceError ABORTED if it is stopped */
async function isStoppedDuring(stop: AbortSignal | undefined, work: () => Promise<void>): Promise<boolean> {
  if (stop?.aborted) throw new ServiceError('ABORTED', 'linear model: the session was stopped')
  const stopped = Promise.withResolvers<boolean>()
  stop?.addEventListener('abort', () => stopped.resolve(true), { once: true })
  return await Promise.race([work().then(() => false), stopped.promise])
}

async function untilStopped(stop: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
  if (!(await isStoppedDuring(stop, work))) return
  throw new ServiceError('ABORTED', 'linear model: the session was stopped')
}

function encodeChat(messages: readonly ChatMessage[]): number[] {
  const turns = messages.flatMap(({ role, content }) => [tokenOf(`<${role}>`), ...encode(content), END])
  return [...turns, tokenOf('<assistant>')]
}

/** Returns the rows of the identity matrix, for which a latent equals its logits. */
export function identity(size: number): Float64Array[] {
  return Array.from({ length: size }, (_, row) =>
    Float64Array.from({ length: size }, (_, i) => (i === row ? 1 : 0)),
  )
}

/** Computes logits, gradient and Adam of a head without bias: d/dz log p(a) = W[a] - p^T W. */
export function linearHead(matrix: readonly Float64Array[]) {
  const width = matrix[0]!.length
  const logits = (latents: Latents) =>
    Array.from({ length: latents.length }, (_, position) => {
      const z = latents.data.subarray(position * width, (position + 1) * width)
      return Float64Array.from(matrix, (row) => dot(row, z))
    })
  const decodeLatents = (latents: Latents) => logits(latents).map((each) => argmax(each))

  function gradient(latents: Latents, request: AscentRequest): Float64Array {
    const out = new Float64Array(latents.data.length)
    const probabilities = logits(latents).map((each) => softmax(each, request.temperature))
    request.actions.forEach((actions, rollout) => {
      const weight = request.advantages[rollout]! / request.actions.length / request.temperature
      actions.forEach((token, position) => {
        for (let d = 0; d < width; d++) {
          const mean = matrix.reduce((sum, row, v) => sum + probabilities[position]![v]! * row[d]!, 0)
          out[position * width + d]! += weight * (matrix[token]![d]! - mean)
        }
      })
    })
    return out
  }

  function ascend(request: AscentRequest): AscentResult {
    const { lr, beta1, beta2, epsilon } = request
    const z = Float64Array.from(request.latents.data)
    const m = Float64Array.from(request.adam.m)
    const v = Float64Array.from(request.adam.v)
    let count = request.adam.step
    const latents = () => ({ ...request.latents, data: Float32Array.from(z) })
    let tokens = decodeLatents(latents())
    let steps = 0
    while (steps < request.maxSteps) {
      const g = gradient(latents(), request)
      count += 1
      steps += 1
      for (let i = 0; i < z.length; i++) {
        m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!
        v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! ** 2
        z[i]! += (lr * (m[i]! / (1 - beta1 ** count))) / (Math.sqrt(v[i]! / (1 - beta2 ** count)) + epsilon)
      }
      tokens = decodeLatents(latents())
      if (request.untilChanged && tokens.some((token, t) => token !== request.actions[0]![t])) break
    }
    const adam = { m: Float32Array.from(m), v: Float32Array.from(v), step: count }
    return { latents: latents(), adam, steps, tokens }
  }

  return { logits, decode: decodeLatents, ascend, gradient }
}

function routeTokens(world: World, first: number): number[] {
  const route = world.routes[WORDS[first]!]
  if (route === undefined) return [first, END]
  const body = [first, ...encode(route.rest)]
  return route.endless ? [...body, ...Array.from({ length: 200 }, () => tokenOf(':'))] : [...body, END]
}

function grow(
  world: World,
  matrix: readonly Float64Array[],
  row: GenerationRow,
): Omit<Continuation, 'sequence'> {
  const logits = firstLogits(world)
  const sampled =
    row.temperature > 0
      ? drawFrom(
          weightsByRules(logits, row.temperature, row.sampling, row.prefix),
          createRandom(row.seed).uniform(),
        )
      : argmax(logits)
  const first = row.prefix[0] ?? sampled
  const whole = [...row.prefix, ...routeTokens(world, first).slice(row.prefix.length)]
  const tokens = whole.slice(0, row.prefix.length + row.maxNewTokens)
  const decoded = tokens.slice(row.prefix.length)
  return {
    tokens,
    latents: latentsOf(world, matrix, decoded.slice(0, row.latents), row.prefix.length === 0),
    thought: row.thought && tokens.length > 0 ? (world.thought?.(tokens) ?? thoughtOf(matrix, tokens)) : null,
    signals: row.signals ? signalsOf(world, first, row.prefix.length, tokens.length) : null,
    finish: tokens.at(-1) === END ? 'eos' : 'length',
    generatedTokens: decoded.length,
  }
}

function signalsOf(world: World, first: number, given: number, length: number): TokenSignals {
  const { logProbability = -0.5, selfCertainty = 5 } = world.routes[WORDS[first]!] ?? {}
  const all = (value: number) => Float32Array.from({ length }, (_, i) => (i < given ? Number.NaN : value))
  return {
    logProbabilities: all(logProbability),
    entropies: all(-logProbability).map((entropy, i) => entropy + (world.entropies?.[i] ?? 0)),
    selfCertainties: all(selfCertainty),
  }
}

/** Grows an answer in runs, and ends it after the one at which `onTokens` returns false. */
function streamed(
  world: World,
  matrix: readonly Float64Array[],
  row: GenerationRow,
): Omit<Continuation, 'sequence'> {
  const whole = grow(world, matrix, row)
  if (world.runTokens === undefined || row.onTokens === undefined) return whole
  const decoded = whole.tokens.slice(row.prefix.length)
  for (let from = 0; from < decoded.length; from += world.runTokens) {
    const end = from + world.runTokens
    if (row.onTokens(decoded.slice(from, end)) || end >= decoded.length) continue
    return { ...grow(world, matrix, { ...row, maxNewTokens: end }), finish: 'aborted' }
  }
  return whole
}

/** Returns a verdict written by the judge. */
function writeVerdict(row: GenerationRow, words: readonly number[]): Continuation {
  const tokens = [...words, END].slice(0, row.maxNewTokens)
  return {
    sequence: -1,
    tokens: [...row.prefix, ...tokens],
    latents: { data: new Float32Array(), length: 0, width: 0 },
    thought: null,
    signals: null,
    finish: tokens.at(-1) === END ? 'eos' : 'length',
    generatedTokens: tokens.length,
  }
}

/**
 * Returns the thought `[2, D]`: the mean of the head's rows of the tokens, and the row of the first token.
 */
function thoughtOf(matrix: readonly Float64Array[], tokens: readonly number[]): LatentThought {
  const width = matrix[0]!.length
  const mean = (d: number) => tokens.reduce((sum, token) => sum + matrix[token]![d]!, 0) / tokens.length
  const data = Float32Array.from({ length: 2 * width }, (_, i) =>
    i < width ? mean(i) : matrix[tokens[0]!]![i - width]!,
  )
  return { data, layers: 2, width }
}

function firstLogits(world: World): number[] {
  return WORDS.map((word) => world.firstLogits[word] ?? FAR_BELOW)
}

/**
 * With a head of orthonormal rows, the latent for given logits is the rows' combination weighted by the
 * logits.
 */
function latentsOf(
  world: World,
  matrix: readonly Float64Array[],
  tokens: readonly number[],
  fromStart: boolean,
): Latents {
  const width = matrix[0]!.length
  const data = new Float32Array(tokens.length * width)
  tokens.forEach((token, position) => {
    const logits =
      fromStart && position === 0 ? firstLogits(world) : WORDS.map((_, v) => (v === token ? 10 : FAR_BELOW))
    for (let d = 0; d < width; d++) {
      data[position * width + d] = matrix.reduce((sum, row, v) => sum + logits[v]! * row[d]!, 0)
    }
  })
  return { data, length: tokens.length, width }
}

/**
 * Returns the verdict's logit for "true" and "wise", else 0. The last known prompt in the suffix names the
 * criterion.
 */
function verdictLogit(
  world: World,
  prompt: readonly number[],
  sequence: readonly number[],
  row: ScoreRow,
  token: number,
): number {
  const route = world.routes[WORDS[sequence[prompt.length]!]!]
  const asked = row.suffix.map((each) => WORDS[each]!).reverse()
  const criterion = asked.find((word) => route?.verdicts[word] !== undefined)
  const p = criterion === undefined ? 0.5 : route!.verdicts[criterion]!
  return ['true', 'wise'].includes(WORDS[token]!) ? Math.log(p / (1 - p)) : 0
}

function draw(probabilities: Float64Array, uniform: number): number {
  let sum = 0
  for (let token = 0; token < probabilities.length; token++) {
    sum += probabilities[token]!
    if (uniform < sum) return token
  }
  return probabilities.length - 1
}
