/** @file Request bodies: JSON in UTF-8 and nothing else. */

import { isUtf8 } from 'node:buffer'
import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'

/**
 * Makes `application/json` the only media type that is read; anything else is MEDIA_TYPE_UNSUPPORTED. Bytes that are
 * not UTF-8 are refused instead of replaced, and so are `__proto__` and `constructor.prototype` as keys.
 */
export function useJsonBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
    const encoding = request.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      done(new ServiceError('MEDIA_TYPE_UNSUPPORTED', 'body: expected no content encoding'), undefined)
    } else if (bytes.length === 0 && request.routeOptions.schema?.body === undefined) {
      // Clients send the type with a DELETE that has no body.
      done(null, undefined)
    } else if (!isUtf8(bytes)) {
      done(invalidBody('expected UTF-8'), undefined)
    } else {
      parseJson(request, bytes.toString(), (error, value) => {
        if (error === null || error === undefined) done(null, value)
        else done(invalidBody(error.message), undefined)
      })
    }
  })
}

function invalidBody(detail: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', `body: ${detail}`, { faults: [{ pointer: '', detail }] })
}
