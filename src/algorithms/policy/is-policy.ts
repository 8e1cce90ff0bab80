/** @file Checks a policy that was read from JSON. */

import { Value } from 'typebox/value'
import { areBandsInOrder, EFFORTS, Policy } from '#ports'

/** Returns whether a value is a policy about the P(correct) of `signal`. */
export function isPolicy(read: unknown, signal: Policy['signal']): read is Policy {
  return (
    Value.Check(Policy, read) &&
    read.signal === signal &&
    EFFORTS.every((effort) => areBandsInOrder(read[effort] ?? []))
  )
}
