/** @file Responses: from their body to the parameters of a request, and from a solution to a response or its events. */

import { type ContextTurn, SAMPLING_STRATEGIES, type Solution, type Strategy } from '#solving'
import type { Response, ResponseRequest } from '../schemas/responses-api.ts'
import { newId, nowInSeconds, type StreamWriter } from './answer.ts'
import { type Ask, invalid, parameter } from './ask.ts'
import { countsOf, resultOf } from './chat.ts'

/** @throws ServiceError REQUEST_INVALID for a thought without a turn of the assistant after it */
export function readResponse(body: ResponseRequest): Ask {
  const none = parameter<number>(null, '/circadian')
  return {
    model: body.model,
    turns: [...readInstructions(body), ...readInput(body.input)],
    circadian: body.circadian,
    stop: [],
    seed: none,
    temperature: parameter(body.temperature, '/temperature'),
    topP: parameter(body.top_p, '/top_p'),
    maxAnswerTokens: parameter(body.max_output_tokens, '/max_output_tokens'),
    maxReasoningTokens: parameter(body.max_reasoning_tokens, '/max_reasoning_tokens'),
    deadlineMs: parameter(body.deadline_ms, '/deadline_ms'),
    effort: parameter(body.reasoning?.effort, '/reasoning/effort'),
    store: parameter(body.store, '/store'),
  }
}

function readInstructions({ instructions }: ResponseRequest): Ask['turns'] {
  if (instructions == null || instructions === '') return []
  return [{ turn: { role: 'system', content: instructions }, pointer: '/instructions' }]
}

function readInput(input: ResponseRequest['input']): Ask['turns'] {
  if (typeof input === 'string') return [{ turn: { role: 'user', content: input }, pointer: '/input' }]
  const turns: { turn: ContextTurn; pointer: string }[] = []
  let thought: string | undefined
  for (const [index, item] of input.entries()) {
    const pointer = `/input/${index}`
    if (item.type === 'reasoning') {
      thought = [thought, ...(item.content ?? []).map(({ text }) => text)].filter(Boolean).join('\n')
      continue
    }
    const { role, content } = item
    if (thought !== undefined && role !== 'assistant') throw danglingThought(pointer)
    turns.push({
      turn: {
        role: role === 'developer' ? 'system' : role,
        content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
        ...(thought && { reasoning: thought }),
      },
      pointer,
    })
    thought = undefined
  }
  if (thought !== undefined) throw danglingThought(`/input/${input.length - 1}`)
  return turns
}

function danglingThought(pointer: string) {
  return invalid(pointer, 'expected a message of the assistant after an item of type reasoning')
}

/** Returns the response before there is an answer. */
export function beginResponse(body: ResponseRequest, strategy: Strategy): Response {
  const samples = SAMPLING_STRATEGIES.has(strategy)
  return {
    id: newId('resp_'),
    object: 'response',
    created_at: nowInSeconds(),
    completed_at: null,
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    model: body.model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    // The model's own where the strategy samples: the profile has them.
    temperature: samples ? (body.temperature ?? null) : 0,
    top_p: body.top_p ?? (samples ? null : 1),
    frequency_penalty: 0,
    presence_penalty: 0,
    top_logprobs: 0,
    tool_choice: 'none',
    tools: [],
    max_tool_calls: null,
    max_output_tokens: body.max_output_tokens ?? null,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: false,
    text: { format: { type: 'text' } },
    truncation: 'disabled',
    service_tier: 'default',
    safety_identifier: body.safety_identifier ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
    metadata: { ...body.metadata },
    usage: null,
  }
}

/** Returns the response with its items, usage and our fields. */
export function endResponse(begun: Response, solution: Solution, output: Response['output']): Response {
  const counts = countsOf(solution)
  const isWhole = solution.finish === 'end'
  return {
    ...begun,
    completed_at: isWhole ? nowInSeconds() : null,
    status: isWhole ? 'completed' : 'incomplete',
    incomplete_details: isWhole
      ? null
      : { reason: solution.finish === 'length' ? 'max_output_tokens' : 'deadline' },
    output,
    usage: {
      input_tokens: counts.promptTokens,
      input_tokens_details: { cached_tokens: counts.cachedTokens },
      output_tokens: counts.answerTokens,
      output_tokens_details: { reasoning_tokens: counts.reasoningTokens },
      total_tokens: counts.totalTokens,
    },
    circadian: resultOf(solution),
  }
}

type Item = Response['output'][number]
type ItemStatus = Item['status']

function reasoningItem(id: string, text: string, status: ItemStatus): Item {
  return { type: 'reasoning', id, summary: [], content: [{ type: 'reasoning_text', text }], status }
}

function messageItem(id: string, text: string, status: ItemStatus): Item {
  const part = { type: 'output_text' as const, text, annotations: [], logprobs: [] }
  return { type: 'message', id, role: 'assistant', status, content: [part] }
}

/** Returns the items of a solution. */
export function itemsOf({ text, thought, finish }: Solution): Item[] {
  const message = messageItem(newId('msg_'), text, finish === 'end' ? 'completed' : 'incomplete')
  return thought === null ? [message] : [reasoningItem(newId('rs_'), thought, 'completed'), message]
}

/** Differences between the two kinds of items in the events of a stream. */
const KINDS = {
  reasoning: { prefix: 'rs_', event: 'response.reasoning_text', item: reasoningItem, extra: {} },
  message: { prefix: 'msg_', event: 'response.output_text', item: messageItem, extra: { logprobs: [] } },
} as const
type Kind = keyof typeof KINDS

/**
 * Creates the writer of the events of a response. The reasoning is one item, the answer another.
 *
 * @param send sends an event by name
 */
export function createResponseWriter(
  body: ResponseRequest,
  strategy: Strategy,
  send: (event: string, data: string) => void,
): StreamWriter {
  const begun = beginResponse(body, strategy)
  const output: Item[] = []
  let sequence = 0
  let open: { readonly kind: Kind; readonly id: string; text: string } | null = null

  const emit = (type: string, data: object) =>
    send(type, JSON.stringify({ type, sequence_number: sequence++, ...data }))

  function begin(): void {
    if (sequence > 0) return
    emit('response.created', { response: begun })
    emit('response.in_progress', { response: begun })
  }

  function add(kind: Kind, delta: string): void {
    begin()
    if (open !== null && open.kind !== kind) close('completed')
    const { prefix, event, item, extra } = KINDS[kind]
    if (open === null) {
      open = { kind, id: newId(prefix), text: '' }
      const empty = item(open.id, '', 'in_progress')
      emit('response.output_item.added', { output_index: output.length, item: { ...empty, content: [] } })
      emit('response.content_part.added', { ...placeOf(open.id), part: empty.content[0] })
    }
    open.text += delta
    if (delta !== '') emit(`${event}.delta`, { ...placeOf(open.id), delta, ...extra })
  }

  const placeOf = (id: string) => ({ item_id: id, output_index: output.length, content_index: 0 })

  function close(status: ItemStatus): void {
    if (open === null) return
    const { kind, id, text } = open
    const { event, extra } = KINDS[kind]
    const item = KINDS[kind].item(id, text, status)
    emit(`${event}.done`, { ...placeOf(id), text, ...extra })
    emit('response.content_part.done', { ...placeOf(id), part: item.content[0] })
    emit('response.output_item.done', { output_index: output.length, item })
    output.push(item)
    open = null
  }

  return {
    reasoning: (text) => add('reasoning', text),
    answer: (text) => add('message', text),
    finish(solution) {
      add('message', '')
      const isWhole = solution.finish === 'end'
      close(isWhole ? 'completed' : 'incomplete')
      const response = endResponse(begun, solution, output)
      emit(isWhole ? 'response.completed' : 'response.incomplete', { response })
    },
    fail({ message, code, param }) {
      begin()
      emit('error', { code, message, param })
    },
  }
}
