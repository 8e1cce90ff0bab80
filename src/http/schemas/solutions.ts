/** @file Schemas of `/solutions`: questions that are answered in the background. */

import { Type } from 'typebox'
import { missing } from './path-ids.ts'
import { closed, Id, Nullable, OneOf } from './primitives.ts'
import { Problem } from './problem.ts'
import { ref } from './ref.ts'
import { Solution } from './solution.ts'

export const SolutionParams = Type.Object({ id: Id }, { ...closed, ...missing('SOLUTION_NOT_FOUND') })

const Moment = Type.String({ format: 'date-time' })

export const BackgroundSolution = Type.Object(
  {
    id: Id,
    status: OneOf(['queued', 'running', 'succeeded', 'failed', 'cancelled']),
    createdAt: Moment,
    startedAt: Nullable(Moment),
    finishedAt: Nullable(Moment),
    solution: Type.Optional({ ...ref(Solution), description: 'The answer, once the status is `succeeded`.' }),
    problem: Type.Optional({ ...ref(Problem), description: 'What went wrong, once the status is `failed`.' }),
  },
  { $id: 'BackgroundSolution', description: 'A question that is answered in the background.' },
)

export const BackgroundTicket = Type.Object(
  { id: Id, status: OneOf(['queued']) },
  { $id: 'BackgroundTicket', description: 'A question that will be answered in the background.' },
)
