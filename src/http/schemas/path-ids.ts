/** @file What is said of an id in a path that names nothing. */

import type { TSchema } from 'typebox'
import type { ErrorCode } from '#errors'

/** Codes of an id that names nothing, and what it should have been. */
const EXPECTED = {
  EPISODE_NOT_FOUND: 'an episode',
  ARTIFACT_NOT_FOUND: 'an artifact',
  CONSOLIDATION_NOT_FOUND: 'a consolidation',
} as const satisfies Partial<Record<ErrorCode, string>>

type MissingCode = keyof typeof EXPECTED

/** For the schema of path parameters: the code of a path that breaks it. */
export function missing(code: MissingCode) {
  return { 'x-missing': code } as const
}

/** What `missing` put into a schema. */
export function missingOf(schema: TSchema): { readonly code: MissingCode; readonly expected: string } {
  const rules: Record<string, unknown> = { ...schema }
  const code = rules['x-missing'] as MissingCode
  if (!Object.hasOwn(EXPECTED, code))
    throw new Error('internal: path parameters: expected a code for ids that name nothing')
  return { code, expected: EXPECTED[code] }
}
