/** @file Small schemas that the other schemas are built from. */

import { type Static, type TSchema, type TSchemaOptions, type TStringOptions, Type } from 'typebox'

/**
 * Pattern of text without control characters except tab and line breaks. Uses ranges instead of `\p{Cc}`, so
 * that validators of other languages can use it. The validator itself finds lone surrogates, which most
 * patterns cannot name.
 */
export const TEXT_PATTERN = '^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$'

/** Returns the schema of a text without control characters. Lengths count code points, as in JSON Schema. */
export const Text = (options: TStringOptions & { minLength: number; maxLength: number }) =>
  Type.String({ ...options, pattern: TEXT_PATTERN })

/** Opaque id of an episode, a solution or another resource. */
export const Id = Type.String({
  pattern: '^[0-9A-Za-z_-]{1,64}$',
  examples: ['73b8254a-65fc-4219-bb51-b5cf4dd8e331'],
})

/** Returns the schema of a closed set of words. */
export function OneOf<const Words extends readonly string[]>(words: Words, options: TSchemaOptions = {}) {
  return Type.Unsafe<Words[number]>({ type: 'string', enum: [...words], ...options })
}

/**
 * Returns the schema with null allowed. It lists the types, since serialisers would have to try each branch
 * of an `anyOf`.
 */
export function Nullable<T extends TSchema>(schema: T) {
  const rules = Object.fromEntries<unknown>(Object.entries(schema))
  const words = rules['enum']
  return Type.Unsafe<Static<T> | null>({
    ...rules,
    type: [rules['type'], 'null'],
    ...(Array.isArray(words) && { enum: [...words, null] }),
  })
}

/** Reward or one of its terms; 0 is perfect. */
export const Reward = Type.Number({ minimum: -1, maximum: 0 })

/** Whole number of up to 53 bits; `int64` keeps generated clients from using an int32. */
export const Seed = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, format: 'int64' })

export const Count = Type.Integer({ minimum: 0 })

export const Milliseconds = Type.Number({ minimum: 0 })

/** Named numbers, such as the terms of a reward. */
export const NumberMap = Type.Unsafe<Record<string, number>>(
  Type.Object({}, { additionalProperties: Type.Number() }),
)

/** Means over the decoded tokens of an answer, in nats, under the model's own distribution. */
export const AnswerSignals = {
  logProbability: Nullable(
    Type.Number({
      description:
        "Mean log-probability of the answer's tokens under the model's own distribution: temperature 1, before the rules of sampling. Null when it is not known.",
    }),
  ),
  selfCertainty: Nullable(
    Type.Number({
      description:
        "Mean KL divergence of the uniform distribution from the model's own. Higher is more certain. Null when it is not known.",
    }),
  ),
} as const

/** Options of objects that callers send: an unknown field is a fault. */
export const closed = { additionalProperties: false } as const
