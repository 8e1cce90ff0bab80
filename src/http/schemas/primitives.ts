/** @file Small schemas that the others are made of. */

import { type Static, type TSchema, type TSchemaOptions, type TStringOptions, Type } from 'typebox'

/**
 * Text from people: no control characters but tab and line breaks. Ranges instead of `\p{Cc}`, so that validators of
 * other languages can use it; lone surrogates, which most cannot even name, are found by the validator.
 */
export const TEXT_PATTERN = '^[^\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F]*$'

/** Lengths count code points, as JSON Schema says. */
export const Text = (options: TStringOptions & { minLength: number; maxLength: number }) =>
  Type.String({ ...options, pattern: TEXT_PATTERN })

/** Names an episode, a solution or a request; callers must not read anything into it. */
export const Id = Type.String({
  pattern: '^[0-9A-Za-z_-]{1,64}$',
  examples: ['73b8254a-65fc-4219-bb51-b5cf4dd8e331'],
})

/** One of a closed set of words. */
export function OneOf<const Words extends readonly string[]>(words: Words, options: TSchemaOptions = {}) {
  return Type.Unsafe<Words[number]>({ type: 'string', enum: [...words], ...options })
}

/** The schema or null, as a list of types: serialisers need no trial and error, as they would with `anyOf`. */
export function Nullable<T extends TSchema>(schema: T) {
  const rules = Object.fromEntries<unknown>(Object.entries(schema))
  const words = rules['enum']
  return Type.Unsafe<Static<T> | null>({
    ...rules,
    type: [rules['type'], 'null'],
    ...(Array.isArray(words) && { enum: [...words, null] }),
  })
}

/** A reward or one of its terms: 0 is perfect. */
export const Reward = Type.Number({ minimum: -1, maximum: 0 })

/** Whole numbers that need 53 bits: generated clients must not put them into an int32. */
export const Seed = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, format: 'int64' })

export const Count = Type.Integer({ minimum: 0 })

export const Milliseconds = Type.Number({ minimum: 0 })

/** Named numbers, such as the terms of a reward. */
export const NumberMap = Type.Unsafe<Record<string, number>>(
  Type.Object({}, { additionalProperties: Type.Number() }),
)

/** Objects from callers: an unknown field is a fault, not noise. */
export const closed = { additionalProperties: false } as const
