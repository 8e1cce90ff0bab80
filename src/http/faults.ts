/** @file Converts validator errors into faults: a JSON pointer and the expected value. */

import type { TLocalizedValidationError } from 'typebox/error'
import type { Fault } from '#errors'
import { TEXT_PATTERN } from './schemas/primitives.ts'

const PATTERNS: Readonly<Record<string, string>> = {
  [TEXT_PATTERN]: 'text without control characters (tab and line breaks are fine)',
}

/** Returns one fault per error. For a union, reports only the branch that fits best. */
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
    // Unknown properties are reported twice: by the schema `false` and by their object. The first pointer is
    // better.
    case 'boolean':
      return [{ pointer, detail: 'unknown field' }]
    case 'additionalProperties':
      return []
    case 'type':
      return [{ pointer, detail: `expected ${[error.params.type].flat().map(withArticle).join(' or ')}` }]
    case 'enum':
      return [{ pointer, detail: `expected one of ${error.params.allowedValues.map(String).join(', ')}` }]
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
    case 'minItems':
      return [{ pointer, detail: `expected ${error.params.limit} or more items` }]
    case 'maxItems':
    case 'maxProperties':
      return [{ pointer, detail: `expected ${atMost(error.params.limit)}` }]
    // The contract excludes weights that are all 0, and switches of OpenAI's that cannot be on.
    case 'not': {
      const isWeights = pointer.endsWith('/reward')
      return [
        {
          pointer,
          detail: isWeights ? 'expected a weight above 0' : 'expected false: true is not supported',
        },
      ]
    }
    default:
      return [{ pointer, detail: error.message }]
  }
}

/**
 * Returns a fault for each text with a lone surrogate: valid in JSON, not in UTF-8, and refused by the
 * database.
 */
export function loneSurrogates(value: unknown, pointer = ''): Fault[] {
  if (typeof value === 'string') {
    return value.isWellFormed() ? [] : [{ pointer, detail: 'expected text without lone surrogates' }]
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, inner]) => loneSurrogates(inner, `${pointer}/${name}`))
}

/**
 * Reduces the errors of each union to one branch. A value that fits no branch breaks rules of every branch;
 * this keeps the branch of the value's type with the fewest faults: `{"topK": "x"}` reports `topK`, not
 * "expected false".
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

/**
 * Returns the values that a union accepts, such as `an object or false`; the last error of each branch
 * counts.
 */
function alternatives(inside: readonly TLocalizedValidationError[]): string {
  const byBranch = new Map(inside.map((error) => [error.schemaPath, faultsOf(error)[0]?.detail]))
  return [...new Set(byBranch.values())].map((detail) => detail?.replace(/^expected /, '')).join(' or ')
}

/** True if the value does not have the type of the branch. */
function isMismatch(error: TLocalizedValidationError, union: TLocalizedValidationError): boolean {
  return error.instancePath === union.instancePath && (error.keyword === 'type' || error.keyword === 'const')
}

function atMost(limit: number): string {
  return limit === 0 ? 'nothing: this is not supported' : `at most ${limit} items`
}

function withArticle(type: string): string {
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
}
