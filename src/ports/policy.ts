/**
 * @file The measured policy of `auto`: by how confident the draft is, what to do next. One schema for the type, for
 * `circadian.json` and for the artifact of a fused judge.
 */

import { type Static, type TOptional, type TSchema, Type } from 'typebox'

const closed = { additionalProperties: false } as const

/** How much work a search may do (`reasoning_effort`), from the least. A request without an effort has `medium`. */
export const EFFORTS = ['minimal', 'low', 'medium', 'high'] as const
export type Effort = (typeof EFFORTS)[number]

/** Scores that need nothing trained. */
export const UNTRAINED_SELECTORS = ['reward', 'verifier', 'log-probability', 'self-certainty'] as const
/** Scores by which `best-of-n` chooses a sample. */
export const SELECTORS = ['judge', 'lrm', ...UNTRAINED_SELECTORS] as const
export type Selector = (typeof SELECTORS)[number]

/** Returns optional properties of one schema, by effort. */
export function byEffort<Schema extends TSchema>(schema: Schema): Record<Effort, TOptional<Schema>> {
  const properties = EFFORTS.map((effort) => [effort, Type.Optional(schema)])
  return Object.fromEntries(properties) as Record<Effort, TOptional<Schema>>
}

/** What is done after a draft. */
const arm = {
  /** `greedy` returns the draft, `latentseek` searches from it with memory. */
  strategy: Type.Enum(['greedy', 'majority', 'best-of-n', 'fork', 'latentseek']),
  samples: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
  /** Selector of `best-of-n`; of `majority`, the score that breaks ties. By default those of a request that names none. */
  selector: Type.Optional(Type.Enum(SELECTORS)),
  /**
   * Samples come in rounds where one of these is given: sampling ends as soon as the chosen answer's P(correct) is at least
   * `stopAbove`, or below `stopBelow`, where more samples hardly find a right answer, or as soon as `stopVotes` candidates, the draft
   * included, give that answer.
   */
  stopAbove: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  stopBelow: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  stopVotes: Type.Optional(Type.Integer({ minimum: 2, maximum: 65 })),
}

const PolicyBand = Type.Object(
  {
    /** Lowest P(correct) of the draft in this band, which ends at the next one. */
    from: Type.Number({ minimum: 0, maximum: 1 }),
    ...arm,
    /**
     * Figures of the measurement, for readers; nothing reads them: questions, accuracy of their drafts and with the
     * arm, mean tokens with those of the draft.
     */
    questions: Type.Optional(Type.Integer({ minimum: 0 })),
    draftAccuracy: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    accuracy: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    tokens: Type.Optional(Type.Number({ minimum: 0 })),
  },
  closed,
)

/** Schema of a policy. It cannot state the order of the bands: see `areBandsInOrder`. */
export const Policy = Type.Object(
  {
    /** P(correct) of the draft that the bands are about; where it is unknown, there is no policy. */
    signal: Type.Enum(['verifier', 'judge']),
    /** Bands in ascending order, the first from 0; an effort without bands has no policy. */
    ...byEffort(Type.Array(PolicyBand, { minItems: 1, maxItems: 8 })),
  },
  closed,
)

const PolicyArm = Type.Object(arm, closed)

export type PolicyArm = Readonly<Static<typeof PolicyArm>>
/** An arm for the drafts whose P(correct) is at least `from`, and below the `from` of the next band. */
export type PolicyBand = Readonly<Static<typeof PolicyBand>>
export type Policy = Readonly<Static<typeof Policy>>

/** Returns whether bands begin at 0 and ascend, so that each P(correct) belongs to one of them. */
export function areBandsInOrder(bands: readonly Pick<PolicyBand, 'from'>[]): boolean {
  return bands.every(({ from }, index) => (index === 0 ? from === 0 : from > (bands[index - 1]?.from ?? 1)))
}
