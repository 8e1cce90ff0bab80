/** @file References between schemas: a `$ref` in the contract, a static type in code. */

import { type Static, type TSchema, Type } from 'typebox'

/** Returns a `$ref` to a component (a schema with an `$id`). */
export function ref<T extends TSchema>(component: T) {
  return Type.Unsafe<Static<T>>({ $ref: referenceTo(component) })
}

/** Returns the value of `$ref` for a component. */
export function referenceTo(component: TSchema): string {
  if (!('$id' in component)) throw new Error('internal: reference: expected a schema with an $id, got none')
  return `${component['$id']}#`
}
