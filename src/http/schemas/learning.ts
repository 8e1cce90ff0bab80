/** @file Schemas of the freeze: request and state. */

import { Type } from 'typebox'
import type { LearningState } from '#artifacts'
import { closed, Nullable } from './primitives.ts'
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
