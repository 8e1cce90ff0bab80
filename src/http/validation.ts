/** @file Request validation: strict for bodies, with text turned into numbers only where all there is is text. */

import type { FastifySchemaCompiler } from 'fastify'
import { type TSchema, Type } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { ServiceError } from '#errors'
import { faultsFrom, loneSurrogates } from './faults.ts'
import { COMPONENTS } from './schemas/index.ts'
import { missingOf } from './schemas/path-ids.ts'
import { referenceTo } from './schemas/ref.ts'

const references = Object.fromEntries(COMPONENTS.map((component) => [referenceTo(component), component]))

/**
 * Fastify's validator compiler. Bodies are never coerced, never stripped, never filled in; query parameters that should
 * be whole numbers are read as such. A path parameter that breaks its schema names nothing that could exist.
 *
 * Its validators report REQUEST_INVALID with one fault per field, at most eight; for the path what the schema says is missing.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(references, schema)
  switch (httpPart) {
    case 'body':
      return (body) => validate(validator, body, 'body')
    case 'querystring':
      return (query) => validate(validator, withNumbers(schema, query as Record<string, unknown>), 'query')
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

function validate(validator: Validator, value: unknown, part: string) {
  // What passed is as deep as its schema and no deeper: it can be walked.
  const faults = validator.Check(value) ? loneSurrogates(value) : faultsFrom(validator.Errors(value))
  const [first] = faults
  if (first === undefined) return { value }
  return {
    error: new ServiceError('REQUEST_INVALID', `${part}${first.pointer}: ${first.detail}`, { faults }),
  }
}

/** A copy of the query in which texts of digits are numbers where the schema asks for an integer. */
function withNumbers(schema: TSchema, query: Record<string, unknown>): Record<string, unknown> {
  const properties: Record<string, TSchema> = Type.IsObject(schema) ? schema.properties : {}
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => {
      const property = properties[name]
      const isNumber =
        property !== undefined && Type.IsInteger(property) && /^-?\d{1,15}$/.test(String(value))
      return [name, isNumber && typeof value === 'string' ? Number(value) : value]
    }),
  )
}
