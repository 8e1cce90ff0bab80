/** @file From a validator's errors to faults that say what was expected, by JSON pointer. */

import type { TLocalizedValidationError } from 'typebox/error'
import type { Fault } from '#errors'
import { TEXT_PATTERN } from './schemas/primitives.ts'

const PATTERNS: Readonly<Record<string, string>> = {
  [TEXT_PATTERN]: 'text without control characters (tab and line breaks are fine)',
}

/** One fault for each thing that is wrong; of a union only the branch that came nearest is told. */
export function faultsFrom(errors: readonly TLocalizedValidationError[]): Fault[] {
  return nearestBranches(errors).flatMap(faultsOf)
}

function faultsOf(error: TLocalizedValidationError): Fault[] {
  const pointer = error.instancePath
  switch (error.keyword) {
    case 'required':
      return error.params.requiredProperties.map((name) => ({
        pointer: `${pointer}/${name}`,
        detail: 'expected a value, got none',
      }))
    // The schema `false` of unknown properties, and then the object as a whole: the first has the better pointer.
    case 'boolean':
      return [{ pointer, detail: 'unknown field' }]
    case 'additionalProperties':
      return []
    case 'type':
      return [{ pointer, detail: `expected ${withArticle(String(error.params.type))}` }]
    case 'enum':
      return [{ pointer, detail: `expected one of ${error.params.allowedValues.join(', ')}` }]
    case 'const':
      return [{ pointer, detail: `expected ${JSON.stringify(error.params.allowedValue)}` }]
    case 'minimum':
    case 'maximum':
      return [{ pointer, detail: `expected a number ${error.params.comparison} ${error.params.limit}` }]
    case 'minLength':
      return [{ pointer, detail: `expected ${error.params.limit} or more characters` }]
    case 'maxLength':
      return [{ pointer, detail: `expected at most ${error.params.limit} characters` }]
    case 'pattern': {
      const pattern = String(error.params.pattern)
      return [{ pointer, detail: `expected ${PATTERNS[pattern] ?? `text that matches ${pattern}`}` }]
    }
    // There is one: weights that are all 0.
    case 'not':
      return [{ pointer, detail: 'expected a weight above 0' }]
    default:
      return [{ pointer, detail: error.message }]
  }
}

/** Texts with half a character: JSON can escape them, UTF-8 cannot hold them, and the database would refuse them. */
export function loneSurrogates(value: unknown, pointer = ''): Fault[] {
  if (typeof value === 'string') {
    return value.isWellFormed() ? [] : [{ pointer, detail: 'expected text without lone surrogates' }]
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => loneSurrogates(inner, `${pointer}/${name}`))
}

/**
 * A value that fits no branch of a union breaks rules of each. Of the branches of its type, keeps the one with the
 * fewest faults: `{"topK": "x"}` is told about `topK`, not that it should have been `false`.
 */
function nearestBranches(errors: readonly TLocalizedValidationError[]): readonly TLocalizedValidationError[] {
  let kept = errors
  for (const union of errors.filter((error) => error.keyword === 'anyOf')) {
    const prefix = `${union.schemaPath}/anyOf/`
    const inside = kept.filter((error) => error.schemaPath.startsWith(prefix))
    const outside = kept.filter((error) => error !== union && !inside.includes(error))
    const branches = [
      ...Map.groupBy(inside, (error) => error.schemaPath.slice(prefix.length).split('/', 1)[0]).values(),
    ]
    const [nearest] = branches
      .filter((branch) => !branch.some((error) => isMismatch(error, union)))
      .sort((one, other) => one.length - other.length)
    kept = [...outside, ...(nearest ?? [{ ...union, message: `expected ${alternatives(inside)}` }])]
  }
  return kept
}

/** What would have fitted: the last word of each branch, `false` rather than `a boolean`. */
function alternatives(inside: readonly TLocalizedValidationError[]): string {
  const byBranch = new Map(inside.map((error) => [error.schemaPath, faultsOf(error)[0]?.detail]))
  return [...new Set(byBranch.values())].map((detail) => detail?.replace(/^expected /, '')).join(' or ')
}

/** The value is not even of the branch's type. */
function isMismatch(error: TLocalizedValidationError, union: TLocalizedValidationError): boolean {
  return error.instancePath === union.instancePath && (error.keyword === 'type' || error.keyword === 'const')
}

function withArticle(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
}
