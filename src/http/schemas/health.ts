/** @file Schemas of liveness and readiness. */

import { Type } from 'typebox'
import { closed, OneOf } from './primitives.ts'
import { ref } from './ref.ts'

export const Liveness = Type.Object({ status: Type.Literal('ok') }, { $id: 'Liveness' })

export const DependencyCheck = Type.Object(
  { ok: Type.Boolean(), detail: Type.Optional(Type.String()) },
  { $id: 'DependencyCheck' },
)

const Check = ref(DependencyCheck)

export const Readiness = Type.Object(
  {
    status: OneOf(['ready', 'degraded', 'unready']),
    checks: Type.Object({ database: Check, queue: Check, engine: Check, model: Check }),
  },
  {
    $id: 'Readiness',
    description:
      'State of each dependency: `ready` if all are ok, `degraded` if the engine and the model are, else `unready`.',
    examples: [
      {
        status: 'ready',
        checks: {
          database: { ok: true },
          queue: { ok: true },
          engine: { ok: true, detail: 'ready on cpu' },
          model: { ok: true, detail: 'order-of-operations 62d26082cb2f' },
        },
      },
    ],
  },
)

export const ReadinessQuery = Type.Object(
  {
    strict: Type.Optional(
      OneOf(['', 'true', 'false'], {
        description: 'Answers 503 also while the database or the queue is unavailable. `?strict` is enough.',
      }),
    ),
  },
  closed,
)
