/** @file Validates requests: bodies strictly, queries with their texts read as numbers and booleans. */

import type { FastifySchemaCompiler } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { type Fault, ServiceError } from '#errors'
import { faultsFrom, loneSurrogates } from './faults.ts'
import { COMPONENTS } from './schemas/index.ts'
import { missingOf } from './schemas/path-ids.ts'
import { referenceTo } from './schemas/ref.ts'
import { SolveRequest } from './schemas/solve.ts'

const references = Object.fromEntries(COMPONENTS.map((component) => [referenceTo(component), component]))

/**
 * Validator compiler of fastify. Bodies are never coerced, stripped or given defaults; query parameters
 * whose schema is a number or a boolean are read as such. A path parameter that breaks its schema cannot be the id
 * of anything.
 *
 * The validators report REQUEST_INVALID with one fault per field, at most eight; for a path, they report the
 * code in the schema, such as EPISODE_NOT_FOUND.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(references, schema)
  switch (httpPart) {
    case 'body':
      return (body) => validate(validator, body, 'body')
    case 'headers':
      return (headers) => validate(validator, headers, 'headers')
    case 'querystring':
      return (query) => validate(validator, withScalars(schema, query as Record<string, unknown>), 'query')
    case 'params': {
      const { code, expected } = missingOf(schema)
      return (params) =>
        validator.Check(params)
          ? { value: params }
          : { error: new ServiceError(code, `path: expected the id of ${expected}`) }
    }
    default:
      throw new Error(`internal: validation: no rule for ${httpPart}`)
  }
}

const solveRequest = Compile(references, SolveRequest)

/** Returns what is wrong with a body of `POST /solve`, one fault per field; an empty list if nothing is. */
export function solveFaults(body: unknown): Fault[] {
  return faultsOf(solveRequest, body)
}

function faultsOf(validator: Validator, value: unknown): Fault[] {
  // A value that passed is no deeper than its schema, so that the recursion ends.
  return validator.Check(value) ? loneSurrogates(value) : faultsFrom(validator.Errors(value))
}

function validate(validator: Validator, value: unknown, part: string) {
  const faults = faultsOf(validator, value)
  const [first] = faults
  if (first === undefined) return { value }
  return {
    error: new ServiceError('REQUEST_INVALID', `${part}${first.pointer}: ${first.detail}`, { faults }),
  }
}

/** Copies the query, replacing texts by numbers and booleans where the schema expects them. */
function withScalars(schema: TSchema, query: Record<string, unknown>): Record<string, unknown> {
  const properties: Record<string, TSchema> = Type.IsObject(schema) ? schema.properties : {}
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [
      name,
      typeof value === 'string' ? readScalar(properties[name], value) : value,
    ]),
  )
}

/** Returns the text itself where it is none of the kind, so that the validator reports it. */
function readScalar(schema: TSchema | undefined, text: string): unknown {
  if (schema === undefined) return text
  if (Type.IsBoolean(schema)) return text === 'true' ? true : text === 'false' ? false : text
  const isNumber =
    (Type.IsInteger(schema) && /^-?\d{1,15}$/.test(text)) ||
    (Type.IsNumber(schema) && /^-?\d{1,15}(\.\d{1,15})?$/.test(text))
  return isNumber ? Number(text) : text
}
