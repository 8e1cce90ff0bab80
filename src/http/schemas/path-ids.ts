/** @file Error codes of ids in paths that name no resource. */

import type { TSchema } from 'typebox'
import type { ErrorCode } from '#errors'

/** Codes of an unknown id, with the expected resource. */
const EXPECTED = {
  MODEL_NOT_FOUND: 'a model',
  EPISODE_NOT_FOUND: 'an episode',
  SOLUTION_NOT_FOUND: 'a solution',
  DELETION_NOT_FOUND: 'a deletion',
  ARTIFACT_NOT_FOUND: 'an artifact',
  CONSOLIDATION_NOT_FOUND: 'a consolidation',
} as const satisfies Partial<Record<ErrorCode, string>>

type MissingCode = keyof typeof EXPECTED

/** Returns schema options that attach the code to report if the path parameters break the schema. */
export function missing(code: MissingCode) {
  return { 'x-missing': code } as const
}

/** Returns the code that `missing` attached to a schema. */
export function missingOf(schema: TSchema): { readonly code: MissingCode; readonly expected: string } {
  const rules: Record<string, unknown> = { ...schema }
  const code = rules['x-missing'] as MissingCode
  if (!Object.hasOwn(EXPECTED, code))
    throw new Error('internal: path parameters: expected a schema with a code for unknown ids, got none')
  return { code, expected: EXPECTED[code] }
}
