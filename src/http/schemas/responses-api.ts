/** @file Schemas of `POST /v1/responses`. A parameter that is not supported has only the values that ask for nothing. */

import { type Static, Type } from 'typebox'
import {
  AnswerTokens,
  BUDGETS,
  CachedTokens,
  CircadianOptions,
  CircadianResult,
  EFFORT,
  Given,
  LABELS,
  NoItems,
  Only,
  ReasoningTokens,
  SAMPLING,
} from './openai.ts'
import { Count, closed, Nullable, OneOf, Text } from './primitives.ts'
import { ref } from './ref.ts'

const MAX_CHARACTERS = 262_144
const LongText = Text({ minLength: 0, maxLength: MAX_CHARACTERS })
/** Fields that clients repeat from the items of an earlier response. */
const ECHOED = {
  id: Given(Type.String({ maxLength: 512 })),
  status: Given(OneOf(['in_progress', 'completed', 'incomplete'])),
}

const InputText = Type.Object(
  {
    type: OneOf(['input_text', 'output_text']),
    text: LongText,
    annotations: NoItems('Annotations are not supported.'),
    logprobs: NoItems('Log probabilities are not supported.'),
  },
  { ...closed, title: 'InputText' },
)

const InputMessage = Type.Object(
  {
    type: Type.Optional(Type.Literal('message')),
    role: OneOf(['system', 'developer', 'user', 'assistant']),
    content: Type.Union([LongText, Type.Array(InputText, { minItems: 1, maxItems: 256 })]),
    phase: Type.Optional(
      Type.Union([OneOf(['commentary', 'final_answer']), Type.Null()], {
        description: 'Phase of a turn of the assistant, as clients repeat it. It changes nothing.',
      }),
    ),
    ...ECHOED,
  },
  { ...closed, title: 'InputMessage' },
)

const InputReasoning = Type.Object(
  {
    type: Type.Literal('reasoning'),
    summary: NoItems('Summaries are not supported.'),
    content: Type.Optional(
      Type.Array(Type.Object({ type: Type.Literal('reasoning_text'), text: LongText }, closed), {
        maxItems: 256,
      }),
    ),
    encrypted_content: Type.Optional(Type.Null()),
    ...ECHOED,
  },
  {
    ...closed,
    title: 'InputReasoning',
    description: 'Thought of the assistant’s turn that follows. Chat templates may repeat it.',
  },
)

export const ResponseRequest = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 512, description: 'One of `GET /v1/models`.' }),
    input: Type.Union(
      [LongText, Type.Array(Type.Union([InputMessage, InputReasoning]), { minItems: 1, maxItems: 2048 })],
      {
        description:
          'The question, or a conversation whose last item is a message of the user: the question. The items before it are its context.',
      },
    ),
    instructions: Given(
      Text({
        minLength: 0,
        maxLength: MAX_CHARACTERS,
        description: 'A system turn before the conversation.',
      }),
    ),
    stream: Given(Type.Boolean({ description: 'Whether the response is a stream of events.' })),
    stream_options: Type.Optional(
      Type.Union([
        Type.Object(
          { include_obfuscation: Only([false], 'Events are not obfuscated.') },
          { ...closed, title: 'ResponseStreamOptions' },
        ),
        Type.Null(),
      ]),
    ),
    max_output_tokens: AnswerTokens,
    ...SAMPLING,
    reasoning: Type.Optional(
      Type.Union([
        Type.Object(
          {
            effort: Type.Optional(EFFORT),
            summary: Type.Optional(Type.Null()),
          },
          { ...closed, title: 'ReasoningOptions' },
        ),
        Type.Null(),
      ]),
    ),
    ...BUDGETS,
    store: Only(
      [false],
      'Responses are never stored for a later request. `false`: nothing of the request is kept, not even as an episode.',
    ),
    circadian: Type.Optional(ref(CircadianOptions)),
    ...LABELS,
    previous_response_id: Type.Optional(
      Type.Null({ description: 'Responses are stateless: send the whole conversation as `input`.' }),
    ),
    conversation: Type.Optional(Type.Null()),
    text: Type.Optional(
      Type.Union([
        Type.Object(
          {
            format: Type.Optional(
              Type.Object({ type: Type.Literal('text') }, { ...closed, title: 'ResponseTextFormat' }),
            ),
            verbosity: Only(['medium'], 'Not supported.'),
          },
          { ...closed, title: 'TextOptions' },
        ),
        Type.Null(),
      ]),
    ),
    tools: NoItems('Tools are not supported.'),
    tool_choice: Only(['none', 'auto'], 'Tools are not supported.'),
    parallel_tool_calls: Given(Type.Boolean({ description: 'Without tools, this changes nothing.' })),
    max_tool_calls: Type.Optional(Type.Null()),
    include: NoItems('Not supported.'),
    top_logprobs: Only([0], 'Log probabilities are not supported.'),
    background: Only([false], 'Not supported.'),
    prompt: Type.Optional(Type.Null()),
    truncation: Only(['disabled'], 'A conversation that is too long is refused.'),
  },
  {
    ...closed,
    $id: 'ResponseRequest',
    examples: [{ model: 'circadian/auto', input: '6 + 4 * 7 - 4 - 5 = ?' }],
  },
)

const Status = OneOf(['in_progress', 'completed', 'incomplete'])

const ReasoningItem = Type.Object(
  {
    type: Type.Literal('reasoning'),
    id: Type.String(),
    summary: Type.Array(Type.String(), { maxItems: 0 }),
    content: Type.Array(Type.Object({ type: Type.Literal('reasoning_text'), text: Type.String() })),
    status: Status,
  },
  { title: 'ReasoningItem' },
)

const MessageItem = Type.Object(
  {
    type: Type.Literal('message'),
    id: Type.String(),
    role: Type.Literal('assistant'),
    status: Status,
    content: Type.Array(
      Type.Object({
        type: Type.Literal('output_text'),
        text: Type.String(),
        annotations: Type.Array(Type.String(), { maxItems: 0 }),
        logprobs: Type.Array(Type.String(), { maxItems: 0 }),
      }),
    ),
  },
  { title: 'MessageItem' },
)

export const Response = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('response'),
    created_at: Type.Integer({ description: 'Seconds since 1970.' }),
    completed_at: Nullable(Type.Integer({ description: 'Seconds since 1970; null unless `completed`.' })),
    background: Type.Literal(false),
    status: OneOf(['in_progress', 'completed', 'incomplete']),
    error: Type.Null(),
    incomplete_details: Type.Union([
      Type.Null(),
      Type.Object({ reason: OneOf(['max_output_tokens', 'deadline']) }),
    ]),
    instructions: Nullable(Type.String()),
    model: Type.String(),
    output: Type.Array(Type.Union([ReasoningItem, MessageItem])),
    parallel_tool_calls: Type.Boolean(),
    temperature: Nullable(
      Type.Number({ description: 'null: the model’s own. 0 of strategies that do not sample.' }),
    ),
    top_p: Nullable(Type.Number({ description: 'null: the model’s own.' })),
    frequency_penalty: Type.Literal(0),
    presence_penalty: Type.Literal(0),
    top_logprobs: Type.Literal(0),
    tool_choice: Type.Literal('none'),
    tools: Type.Array(Type.String(), { maxItems: 0 }),
    max_tool_calls: Type.Null(),
    max_output_tokens: Nullable(Type.Integer()),
    previous_response_id: Type.Null(),
    reasoning: Type.Object({ effort: Nullable(Type.String()), summary: Type.Null() }),
    store: Type.Literal(false),
    text: Type.Object({ format: Type.Object({ type: Type.Literal('text') }) }),
    truncation: Type.Literal('disabled'),
    service_tier: Type.Literal('default'),
    safety_identifier: Nullable(Type.String()),
    prompt_cache_key: Nullable(Type.String()),
    metadata: Type.Unsafe<Record<string, string>>(Type.Object({}, { additionalProperties: Type.String() })),
    usage: Type.Union([
      Type.Null(),
      Type.Object({
        input_tokens: Count,
        input_tokens_details: Type.Object({ cached_tokens: CachedTokens }),
        output_tokens: Type.Integer({ minimum: 0, description: 'Tokens of the answer.' }),
        output_tokens_details: Type.Object({ reasoning_tokens: ReasoningTokens }),
        total_tokens: Count,
      }),
    ]),
    circadian: Type.Optional(ref(CircadianResult)),
  },
  { $id: 'Response' },
)

export const ResponseEvent = Type.Object(
  {
    type: OneOf([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.reasoning_text.delta',
      'response.reasoning_text.done',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
      'response.incomplete',
      'error',
    ]),
    sequence_number: Count,
    response: Type.Optional(Type.Unsafe<Static<typeof Response>>({ $ref: 'Response#' })),
  },
  {
    $id: 'ResponseEvent',
    description:
      'One event of a stream, with the fields of OpenAI’s event of this type. The last is `response.completed`, `response.incomplete` or `error`. Comments are heartbeats.',
  },
)

export type ResponseRequest = Static<typeof ResponseRequest>
export type Response = Static<typeof Response>
