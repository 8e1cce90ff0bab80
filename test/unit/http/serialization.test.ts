import { expect, test } from 'vitest'
import { buildSerializer } from '../../../src/http/serialization.ts'

const route = (schema: object) => ({ method: 'GET', url: '/', httpStatus: '200', schema })
const components = (type: string) => ({ Answer: { $id: 'Answer', type } })

test('routes and apps with equal schemas share a serializer', () => {
  const [one, other] = [buildSerializer(components('string')), buildSerializer(components('string'))]
  const serialize = one(route({ $ref: 'Answer#' }))
  expect(serialize('5')).toBe('"5"')
  expect(one(route({ $ref: 'Answer#' }))).toBe(serialize)
  expect(other(route({ $ref: 'Answer#' }))).toBe(serialize)
  expect(one(route({ type: 'string' }))).not.toBe(serialize)
})

test('equal references to other components do not', () => {
  expect(buildSerializer(components('integer'))(route({ $ref: 'Answer#' }))(5)).toBe('5')
})
