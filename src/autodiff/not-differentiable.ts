/** @file The one error of this room's rules. */

import { ServiceError } from '#errors'

/** "differentiate: expected ..., got ..." with code NOT_DIFFERENTIABLE. */
export function notDifferentiable(expected: string, got: string): ServiceError {
  return new ServiceError('NOT_DIFFERENTIABLE', `differentiate: expected ${expected}, got ${got}`)
}
