/** @file Checks and conversions of the values that Postgres can store. */

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Whether `text` is a `uuid` in its usual notation. Callers treat any other id as one that does not exist.
 */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/**
 * Replaces with U+FFFD the characters that Postgres cannot store: NUL, which a model may well emit, and half
 * of a surrogate pair.
 */
export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd')
}
