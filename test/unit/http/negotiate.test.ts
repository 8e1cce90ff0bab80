import { expect, test } from 'vitest'
import { negotiate } from '../../../src/http/context.ts'

const JSON_TYPE = 'application/json'
const STREAM = 'text/event-stream'

test.each<[string | undefined, string | undefined]>([
  [undefined, JSON_TYPE],
  ['', JSON_TYPE],
  ['*/*', JSON_TYPE],
  ['application/*', JSON_TYPE],
  ['text/*', STREAM],
  ['Text/Event-Stream', STREAM],
  ['text/event-stream; charset=utf-8', STREAM],
  ['text/event-stream, */*', STREAM],
  ['application/json, text/event-stream', JSON_TYPE],
  ['text/event-stream, application/json', JSON_TYPE],
  ['text/event-stream, application/json;q=0.9', STREAM],
  ['text/*;q=0.9, application/json;q=0.1', STREAM],
  ['text/html, application/xhtml+xml, */*;q=0.8', JSON_TYPE],
  ['*/*, application/json;q=0', STREAM],
  ['application/json;q=0, text/event-stream;q=0', undefined],
  ['text/html', undefined],
  ['application/problem+json', undefined],
  ['application/json;q=2', undefined],
  ['application/json;q=x', undefined],
  [',,', undefined],
])('Accept: %s gives %s', (accept, expected) => {
  expect(negotiate(accept, [JSON_TYPE, STREAM])).toBe(expected)
})
