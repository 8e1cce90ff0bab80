/** @file Checks at compile time that a schema and an interface have the same fields. */

import type { Static, TSchema } from 'typebox'

/** `T` without `readonly` and with intersections flattened, all the way down. */
type Plain<T> = T extends readonly (infer Item)[]
  ? Plain<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Plain<T[Key]> }
    : T

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
    ? unknown
    : 'the schema and the interface differ'

/**
 * Returns the schema unchanged. Compiles only if the static type of the schema and `Domain` have the same
 * fields with the same types, optional fields included, so that neither can gain or lose a field alone.
 */
export function sameAs<Domain>() {
  return <S extends TSchema>(schema: S & Same<Plain<Static<S>>, Plain<Domain>>): S => schema
}
