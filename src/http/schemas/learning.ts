/** @file Schemas of learning: the freeze, and the figures of days. */

import { Type } from 'typebox'
import type { LearningState } from '#artifacts'
import type { LearningDay as Day } from '#episodes'
import { Count, closed, Nullable } from './primitives.ts'
import { ref } from './ref.ts'
import { sameAs } from './same-as.ts'

interface LearningView {
  readonly frozen: boolean
  readonly since: string | null
  readonly reason?: string
}

export const Learning = sameAs<LearningView>()(
  Type.Object(
    {
      frozen: Type.Boolean({ description: 'Whether learning is frozen.' }),
      since: Nullable(
        Type.String({ format: 'date-time', description: 'Time of the freeze; null if not frozen.' }),
      ),
      reason: Type.Optional(Type.String({ description: 'Reason that was given with the freeze.' })),
    },
    { $id: 'Learning', description: 'Whether the service learns.' },
  ),
)

/** Body of a freeze; null when the request has none. */
export const FreezeRequest = Type.Union([
  Type.Object(
    {
      reason: Type.Optional(
        Type.String({ minLength: 1, maxLength: 500, description: 'Reason, shown with the state.' }),
      ),
    },
    closed,
  ),
  Type.Null(),
])

export function toLearning({ frozenSince, reason }: LearningState): LearningView {
  return { frozen: frozenSince !== null, since: frozenSince, ...(reason !== null && { reason }) }
}

const VersionServed = Nullable(
  Type.String({
    description:
      'Version that could influence the answers; `none` when none was active, null when none was used.',
    examples: ['weaver-2'],
  }),
)

export const LearningDay = sameAs<Day>()(
  Type.Object(
    {
      day: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\d$', description: 'Day in UTC.' }),
      strategy: Type.String(),
      weaverVersion: VersionServed,
      lrmVersion: VersionServed,
      judgeVersion: VersionServed,
      episodes: { ...Count, description: 'Stored answers to requests.' },
      labelled: { ...Count, description: 'Those that feedback or a reference call right or wrong.' },
      right: { ...Count, description: 'Those called right.' },
      firstPass: { ...Count, description: 'Answers that passed before the first step of a search.' },
      steps: { ...Count, description: 'Steps of all searches together.' },
      tokens: { ...Count, description: 'Tokens generated for all answers together.' },
    },
    { $id: 'LearningDay', description: 'Answers of one day, strategy and set of versions.' },
  ),
)

export const LearningDays = Type.Object(
  { days: Type.Array(ref(LearningDay)) },
  {
    $id: 'LearningDays',
    description:
      'Figures of the answers of this model by day, oldest first. Days without answers are absent.',
  },
)

export const LearningDaysQuery = Type.Object(
  {
    days: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 365, default: 30, description: 'Number of days, today included.' }),
    ),
  },
  closed,
)
