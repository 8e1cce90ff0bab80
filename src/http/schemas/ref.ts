/** @file References between schemas: `$ref` in the contract, the static type in code. */

import { type Static, type TSchema, Type } from 'typebox'

/** `$ref` to a component (a schema with an `$id`). */
export function ref<T extends TSchema>(component: T) {
  return Type.Unsafe<Static<T>>({ $ref: referenceTo(component) })
}

/** How schemas refer to a component. */
export function referenceTo(component: TSchema): string {
  if (!('$id' in component)) throw new Error('internal: reference: expected a schema with an $id')
  return `${component['$id']}#`
}
