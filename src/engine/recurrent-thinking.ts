/** @file How long a request may think on a depth-recurrent model: its number of recurrences, and whether it may stop early. */

import { ServiceError } from '#errors'
import type { Thinking } from '#ports'
import type { RecurrenceProfile } from './profile.ts'

/** Thinking of all rows of a session. */
export interface RecurrentThinking {
  /** Recurrences of a position, 1 to R. */
  readonly steps: number
  /** Relative change of the state at which a position that predicts an answer token stops; null: never. */
  readonly tolerance: number | null
}

/**
 * Returns the thinking that a request asks for, of the profile's length unless it names one; null for an ordinary decoder.
 *
 * @throws ServiceError REQUEST_INVALID for a decoder that has no recurrences, a number out of range, and adaptive thinking
 * without a measured tolerance
 */
export function resolveThinking(
  recurrence: RecurrenceProfile | undefined,
  { steps, adaptive = false }: Thinking = {},
): RecurrentThinking | null {
  if (recurrence === undefined) {
    if (steps === undefined && !adaptive) return null
    throw invalid(
      '/thinking',
      'expected none: only a depth-recurrent model thinks in recurrences, this one is an ordinary decoder',
    )
  }
  const { maxSteps, tolerance } = recurrence
  if (steps !== undefined && !(Number.isInteger(steps) && steps >= 1 && steps <= maxSteps)) {
    throw invalid('/thinking/steps', `expected 1 to ${maxSteps} recurrences, got ${steps}`)
  }
  if (adaptive && tolerance === undefined) {
    throw invalid(
      '/thinking',
      "expected a number of steps: the model profile has no 'tolerance' for adaptive thinking",
    )
  }
  return { steps: steps ?? recurrence.steps, tolerance: adaptive ? tolerance! : null }
}

function invalid(pointer: string, detail: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', `body${pointer}: ${detail}`, { faults: [{ pointer, detail }] })
}
