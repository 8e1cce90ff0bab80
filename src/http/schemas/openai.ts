/** @file Schemas that the OpenAI-compatible operations under `/v1` share: errors, models, and our own options and results. */

import { type Static, type TSchema, Type } from 'typebox'
import { EFFORTS, type Effort } from '#solving'
import { Count, closed, Nullable } from './primitives.ts'
import { Solution } from './solution.ts'
import { SolveRequest } from './solve.ts'

/** Returns the schema of a parameter of which only some values are supported; null means that it is not given. */
export function Only<const Values extends readonly (string | number | boolean)[]>(
  values: Values,
  description: string,
) {
  const [only] = values
  // Generators of clients know no enumerations of booleans.
  const schema =
    typeof only === 'boolean'
      ? { type: ['boolean', 'null'], not: { const: !only } }
      : { enum: [...values, null] }
  return Type.Optional(Type.Unsafe<Values[number] | null>({ ...schema, description }))
}

/** Schema of a list parameter that must be empty. */
export const NoItems = (description: string) =>
  Type.Optional(
    Type.Unsafe<readonly [] | null>({ type: ['array', 'null'], items: {}, maxItems: 0, description }),
  )

/** Schema of an object parameter that must be empty. */
export const NoFields = (description: string) =>
  Type.Optional(
    Type.Unsafe<Record<string, never> | null>({ type: ['object', 'null'], maxProperties: 0, description }),
  )

/** Schema of a parameter that may be null, which means that it is not given. */
export const Given = <T extends TSchema>(schema: T) => Type.Optional(Nullable(schema))

const LABEL = 'A label of the caller, which changes nothing.'

/** Parameters that describe the caller and change nothing. */
export const LABELS = {
  user: Given(Type.String({ maxLength: 512, description: LABEL })),
  safety_identifier: Given(Type.String({ maxLength: 512, description: LABEL })),
  prompt_cache_key: Given(
    Type.String({
      maxLength: 512,
      description: `${LABEL} Prompts that begin alike share their cache anyway.`,
    }),
  ),
  metadata: Type.Optional(
    Type.Unsafe<Record<string, string> | null>({
      type: ['object', 'null'],
      maxProperties: 16,
      additionalProperties: { type: 'string', maxLength: 512 },
      description: LABEL,
    }),
  ),
  service_tier: Only(['auto', 'default'], 'There is one tier.'),
}

export const CircadianOptions = Type.Omit(SolveRequest, ['question', 'strategy'], {
  ...closed,
  $id: 'CircadianOptions',
  description:
    'Options of this server (`extra_body.circadian` of OpenAI’s SDKs), as in `POST /solve`. An option that contradicts a parameter beside it is refused.',
})

export const CircadianResult = Type.Omit(Solution, ['text', 'thought', 'usage'], {
  $id: 'CircadianResult',
  description: 'The solution as `POST /solve` describes it, without the text, the thought and the usage.',
})

/** Budgets of the search, in both operations. */
export const BUDGETS = {
  max_reasoning_tokens: Given(
    Type.Integer({
      minimum: 0,
      maximum: 1_048_576,
      description:
        'Maximum number of tokens decoded beside the answer, without those read for judging. 0: the draft alone.',
    }),
  ),
  deadline_ms: Given(
    Type.Integer({
      minimum: 1,
      maximum: 600_000,
      description:
        'Time, in ms, after which the best answer so far is returned. `circadian.stopped` is `maxMs` then.',
    }),
  ),
}

/** Maximum number of tokens of an answer, under the name that each operation gives it. */
export const AnswerTokens = Given(
  Type.Integer({
    minimum: 1,
    maximum: 32_768,
    description: 'Maximum number of tokens of one answer. Default: from the model profile.',
  }),
)

/** Parameters of both operations that strategies which sample read. */
export const SAMPLING = {
  temperature: Given(
    Type.Number({
      minimum: 0,
      maximum: 2,
      description:
        'Temperature of strategies that sample. The others take the most likely tokens: they accept 0 only.',
    }),
  ),
  top_p: Given(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      description:
        'Rule of strategies that sample. The others take the most likely tokens: they accept 1 only.',
    }),
  ),
}

export const EFFORT = Type.Unsafe<Effort | 'none' | null>({
  enum: ['none', ...EFFORTS, null],
  description:
    'Budget of the search: `none` returns the draft, `medium` has the budget of the model profile, `minimal`, `low` and `high` have a quarter, half and twice of it unless the profile names others. `circadian/greedy` has no search: all values give it the same answer.',
})

export const Model = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('model'),
    created: Type.Integer({ description: 'Time, in seconds since 1970, at which this process started.' }),
    owned_by: Type.String(),
  },
  {
    $id: 'Model',
    description:
      'A strategy as a model: `circadian/STRATEGY`, or the id of the model, which means the default strategy.',
  },
)

export const ModelList = Type.Object(
  { object: Type.Literal('list'), data: Type.Array(Type.Unsafe<Static<typeof Model>>({ $ref: 'Model#' })) },
  { $id: 'ModelList' },
)

export const OpenAIError = Type.Object(
  {
    error: Type.Object({
      message: Type.String(),
      type: Type.String({ description: 'Kind of the error, by its status.' }),
      param: Nullable(
        Type.String({ description: 'Parameter that is at fault, such as `messages[0].content`.' }),
      ),
      code: Type.String({
        description:
          'The code of the problem in small letters, such as `request_invalid`, except `invalid_api_key`, `model_not_found` and `context_length_exceeded`, which are OpenAI’s.',
      }),
    }),
  },
  { $id: 'OpenAIError', description: 'An error response of the operations under `/v1`.' },
)

/** Counts of `usage` that both operations have, under their own names. */
export const ReasoningTokens = {
  ...Count,
  description:
    'Tokens decoded beside the answer, or read for judging. They are not part of the tokens of the answer.',
}
export const CachedTokens = { ...Count, description: 'Tokens of the prompt that were in the cache.' }
