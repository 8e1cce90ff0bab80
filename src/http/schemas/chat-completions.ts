/** @file Schemas of `POST /v1/chat/completions`. A parameter that is not supported has only the values that ask for nothing. */

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
  NoFields,
  NoItems,
  Only,
  ReasoningTokens,
  SAMPLING,
} from './openai.ts'
import { Count, closed, Nullable, OneOf, Seed, Text } from './primitives.ts'
import { ref } from './ref.ts'

const MAX_CHARACTERS = 262_144

const TextPart = Type.Object(
  { type: Type.Literal('text'), text: Text({ minLength: 0, maxLength: MAX_CHARACTERS }) },
  { ...closed, title: 'TextPart' },
)

const Thought = Given(
  Text({
    minLength: 0,
    maxLength: MAX_CHARACTERS,
    description: 'Thought of an assistant’s turn. Chat templates may repeat it.',
  }),
)

const Message = Type.Object(
  {
    role: OneOf(['system', 'developer', 'user', 'assistant', 'tool'], {
      description: '`developer` means `system`. System turns are joined into one, which comes first.',
    }),
    content: Type.Optional(
      Type.Union([
        Text({ minLength: 0, maxLength: MAX_CHARACTERS }),
        Type.Array(TextPart, { minItems: 1, maxItems: 256 }),
        Type.Null(),
      ]),
    ),
    name: Given(
      Type.String({
        maxLength: 512,
        description: 'Name of the participant. Chat templates do not show it: it changes nothing.',
      }),
    ),
    type: Only(['text'], 'Sent by lm-evaluation-harness before 0.4.10. It changes nothing.'),
    reasoning: Thought,
    reasoning_content: Thought,
    tool_call_id: Given(Type.String({ maxLength: 512 })),
    tool_calls: NoItems('Calls of tools are not supported.'),
    function_call: Type.Optional(Type.Null()),
    refusal: Type.Optional(Type.Null()),
    audio: Type.Optional(Type.Null()),
    annotations: NoItems('Annotations are not supported.'),
  },
  { ...closed, $id: 'ChatMessage' },
)

export const ChatMessage = Message

export const ChatCompletionRequest = Type.Object(
  {
    model: Type.String({ minLength: 1, maxLength: 512, description: 'One of `GET /v1/models`.' }),
    messages: Type.Array(ref(Message), {
      minItems: 1,
      maxItems: 2048,
      description:
        'The conversation. The last turn is the user’s and is the question; the turns before it are its context: part of the prompt, of the embedding and of the text by which the question is remembered.',
    }),
    stream: Given(Type.Boolean({ description: 'Whether the response is a stream of chunks.' })),
    stream_options: Type.Optional(
      Type.Union([
        Type.Object(
          {
            include_usage: Given(
              Type.Boolean({ description: 'Whether a last chunk, with `choices: []`, has the usage.' }),
            ),
            include_obfuscation: Only([false], 'Chunks are not obfuscated.'),
          },
          { ...closed, title: 'StreamOptions' },
        ),
        Type.Null(),
      ]),
    ),
    stop: Type.Optional(
      Type.Union(
        [
          Type.String({ minLength: 1, maxLength: 256 }),
          Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 4 }),
          Type.Null(),
        ],
        { description: 'Texts at the first of which the answer ends; it is left out.' },
      ),
    ),
    max_tokens: Given(
      Type.Integer({ minimum: 1, maximum: 32_768, description: 'The same as `max_completion_tokens`.' }),
    ),
    max_completion_tokens: AnswerTokens,
    ...SAMPLING,
    seed: Given({ ...Seed, description: 'Seed of the random numbers; random unless given.' }),
    reasoning_effort: Type.Optional(EFFORT),
    ...BUDGETS,
    store: Only([false], '`false`: nothing of the request is kept, not even as an episode.'),
    circadian: Type.Optional(ref(CircadianOptions)),
    ...LABELS,
    n: Only([1], 'There is one answer.'),
    logprobs: Only([false], 'Log probabilities are not supported.'),
    top_logprobs: Only([0], 'Log probabilities are not supported.'),
    frequency_penalty: Only([0], 'Not supported; `circadian.sampling.repetitionPenalty` is.'),
    presence_penalty: Only([0], 'Not supported.'),
    logit_bias: NoFields('Not supported.'),
    response_format: Type.Optional(
      Type.Union(
        [Type.Object({ type: Type.Literal('text') }, { ...closed, title: 'TextFormat' }), Type.Null()],
        { description: 'JSON by constrained decoding is not supported.' },
      ),
    ),
    tools: NoItems('Tools are not supported.'),
    tool_choice: Only(['none', 'auto'], 'Tools are not supported.'),
    parallel_tool_calls: Given(Type.Boolean({ description: 'Without tools, this changes nothing.' })),
    functions: NoItems('Tools are not supported.'),
    function_call: Only(['none', 'auto'], 'Tools are not supported.'),
    modalities: Type.Optional(
      Type.Unsafe<readonly 'text'[] | null>({
        type: ['array', 'null'],
        items: { enum: ['text'] },
        maxItems: 1,
        description: 'Answers are text.',
      }),
    ),
    audio: Type.Optional(Type.Null()),
    prediction: Type.Optional(Type.Null()),
    verbosity: Only(['medium'], 'Not supported.'),
  },
  {
    ...closed,
    $id: 'ChatCompletionRequest',
    examples: [{ model: 'circadian/auto', messages: [{ role: 'user', content: '6 + 4 * 7 - 4 - 5 = ?' }] }],
  },
)

export const ChatUsage = Type.Object(
  {
    prompt_tokens: Count,
    completion_tokens: Type.Integer({ minimum: 0, description: 'Tokens of the answer.' }),
    total_tokens: Type.Integer({ minimum: 0, description: 'Sum of the two.' }),
    prompt_tokens_details: Type.Object({ cached_tokens: CachedTokens }),
    completion_tokens_details: Type.Object({ reasoning_tokens: ReasoningTokens }),
  },
  { $id: 'ChatUsage' },
)

const FinishReason = OneOf(['stop', 'length'], {
  description:
    '`stop`: the answer ended by itself or at a stop sequence. `length`: a limit on tokens or time cut it.',
})

const HEAD = {
  id: Type.String(),
  created: Type.Integer({ description: 'Seconds since 1970.' }),
  model: Type.String(),
  system_fingerprint: Nullable(Type.String()),
}

export const ChatCompletion = Type.Object(
  {
    ...HEAD,
    object: Type.Literal('chat.completion'),
    choices: Type.Array(
      Type.Object({
        index: Count,
        message: Type.Object({
          role: Type.Literal('assistant'),
          content: Type.String({ description: 'Text of the answer, without the thought.' }),
          refusal: Type.Null(),
          annotations: Type.Array(Type.String(), { maxItems: 0 }),
          reasoning: Type.Optional(Type.String({ description: 'Thought of a model that thinks.' })),
          reasoning_content: Type.Optional(Type.String({ description: 'The same as `reasoning`.' })),
        }),
        finish_reason: FinishReason,
        logprobs: Type.Null(),
      }),
    ),
    usage: ref(ChatUsage),
    circadian: ref(CircadianResult),
  },
  { $id: 'ChatCompletion' },
)

export const ChatCompletionChunk = Type.Object(
  {
    ...HEAD,
    object: Type.Literal('chat.completion.chunk'),
    choices: Type.Array(
      Type.Object({
        index: Count,
        delta: Type.Object({
          role: Type.Optional(Type.Literal('assistant')),
          content: Type.Optional(Type.String()),
          reasoning: Type.Optional(
            Type.String({ description: 'Thought of the model, or what the search does.' }),
          ),
          reasoning_content: Type.Optional(Type.String({ description: 'The same as `reasoning`.' })),
        }),
        finish_reason: Nullable(FinishReason),
        logprobs: Type.Null(),
      }),
    ),
    usage: Type.Optional(Type.Union([ref(ChatUsage), Type.Null()])),
    circadian: Type.Optional(ref(CircadianResult)),
  },
  {
    $id: 'ChatCompletionChunk',
    description:
      'One chunk of a stream: the JSON of a data line. The last chunk with a choice has `finish_reason` and `circadian`; the last data line is `[DONE]`. An error after the first chunk is a data line with an OpenAIError. Comments are heartbeats.',
  },
)

export type ChatCompletionRequest = Static<typeof ChatCompletionRequest>
export type ChatCompletion = Static<typeof ChatCompletion>
export type ChatCompletionChunk = Static<typeof ChatCompletionChunk>
export type ChatUsage = Static<typeof ChatUsage>
