/** @file Chat completions: from their body to the parameters of a request, and from a solution to a completion or its chunks. */

import type { ContextTurn, Solution } from '#solving'
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatUsage,
} from '../schemas/chat-completions.ts'
import { type Ask, contradiction, invalid, parameter } from './ask.ts'

/** @throws ServiceError REQUEST_INVALID when two parameters contradict each other */
export function readChat(body: ChatCompletionRequest): Ask {
  if (body.stream_options != null && body.stream !== true) {
    throw invalid('/stream_options', 'expected none without stream: true, got some')
  }
  const legacy = parameter(body.max_tokens, '/max_tokens')
  const limit = parameter(body.max_completion_tokens, '/max_completion_tokens')
  if (legacy.value !== undefined && limit.value !== undefined && legacy.value !== limit.value) {
    throw contradiction(legacy.pointer, limit.pointer)
  }
  return {
    model: body.model,
    turns: body.messages.map((message, index) => {
      const pointer = `/messages/${index}`
      return { turn: readMessage(message, pointer), pointer }
    }),
    circadian: body.circadian,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    seed: parameter(body.seed, '/seed'),
    temperature: parameter(body.temperature, '/temperature'),
    topP: parameter(body.top_p, '/top_p'),
    maxAnswerTokens: limit.value === undefined ? legacy : limit,
    maxReasoningTokens: parameter(body.max_reasoning_tokens, '/max_reasoning_tokens'),
    deadlineMs: parameter(body.deadline_ms, '/deadline_ms'),
    effort: parameter(body.reasoning_effort, '/reasoning_effort'),
    store: parameter(body.store, '/store'),
  }
}

function readMessage(message: ChatCompletionRequest['messages'][number], pointer: string): ContextTurn {
  const { role, content } = message
  const reasoning = message.reasoning_content ?? message.reasoning ?? undefined
  if (message.reasoning != null && message.reasoning !== reasoning) {
    throw contradiction(`${pointer}/reasoning`, `${pointer}/reasoning_content`)
  }
  if (role !== 'assistant') {
    if (content == null) throw invalid(`${pointer}/content`, 'expected a text, got none')
    if (reasoning !== undefined)
      throw invalid(`${pointer}/reasoning`, 'expected none outside a turn of the assistant')
  }
  if (role !== 'tool' && message.tool_call_id != null) {
    throw invalid(`${pointer}/tool_call_id`, 'expected none outside a turn of a tool')
  }
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join(''),
    ...(reasoning !== undefined && { reasoning }),
  }
}

/** Fields that a completion and all chunks of a stream have in common. */
export interface CompletionHead {
  readonly id: string
  readonly created: number
  readonly model: string
}

export function toCompletion(head: CompletionHead, solution: Solution): ChatCompletion {
  const { text, thought } = solution
  return {
    ...head,
    object: 'chat.completion',
    system_fingerprint: fingerprintOf(solution),
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text,
          refusal: null,
          annotations: [],
          ...(thought !== null && { reasoning: thought, reasoning_content: thought }),
        },
        finish_reason: finishOf(solution),
        logprobs: null,
      },
    ],
    usage: usageOf(solution),
    circadian: resultOf(solution),
  }
}

type Delta = ChatCompletionChunk['choices'][number]['delta']

/** Returns a chunk of the answer. @param withUsage whether a last chunk has the usage, so that the others say that they have none */
export function toChunk(head: CompletionHead, delta: Delta, withUsage: boolean): ChatCompletionChunk {
  return {
    ...head,
    object: 'chat.completion.chunk',
    system_fingerprint: null,
    choices: [{ index: 0, delta, finish_reason: null, logprobs: null }],
    ...(withUsage && { usage: null }),
  }
}

/** Returns the last chunks of a stream: the one that ends the answer, and with `withUsage` the one with the usage. */
export function toLastChunks(
  head: CompletionHead,
  solution: Solution,
  withUsage: boolean,
): ChatCompletionChunk[] {
  const bare = { ...toChunk(head, {}, withUsage), system_fingerprint: fingerprintOf(solution) }
  const choice = { index: 0, delta: {}, finish_reason: finishOf(solution), logprobs: null }
  const end = { ...bare, choices: [choice], circadian: resultOf(solution) }
  return withUsage ? [end, { ...bare, choices: [], usage: usageOf(solution) }] : [end]
}

/** Returns the counts of a solution: everything that is decoded or read for judging beside the answer is reasoning. */
export function countsOf({ usage }: Solution) {
  const { promptTokens, cachedTokens, completionTokens, generatedTokens, rewardTokens } = usage
  return {
    promptTokens,
    cachedTokens,
    answerTokens: completionTokens,
    // Tokens of a prefix are read from latents, not decoded: an answer may have more than were decoded.
    reasoningTokens: Math.max(0, generatedTokens - completionTokens) + rewardTokens,
    totalTokens: promptTokens + completionTokens,
  }
}

function usageOf(solution: Solution): ChatUsage {
  const counts = countsOf(solution)
  return {
    prompt_tokens: counts.promptTokens,
    completion_tokens: counts.answerTokens,
    total_tokens: counts.totalTokens,
    prompt_tokens_details: { cached_tokens: counts.cachedTokens },
    completion_tokens_details: { reasoning_tokens: counts.reasoningTokens },
  }
}

function finishOf({ finish }: Solution): 'stop' | 'length' {
  return finish === 'end' ? 'stop' : 'length'
}

function fingerprintOf({ model }: Solution): string {
  return `fp_${model.fingerprint.slice(0, 16)}`
}

/** Returns the solution without what the completion says itself. */
export function resultOf({ text: _text, thought: _thought, usage: _usage, ...rest }: Solution) {
  return structuredClone(rest) as Mutable<typeof rest>
}

type Mutable<T> = T extends readonly (infer Item)[]
  ? Mutable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Mutable<T[Key]> }
    : T
