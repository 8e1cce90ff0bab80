/** @file Parses request bodies: JSON in UTF-8 only. */

import { isUtf8 } from 'node:buffer'
import { MIMEType } from 'node:util'
import type { FastifyInstance } from 'fastify'
import { ServiceError } from '#errors'

/**
 * Makes `application/json` the only accepted media type; any other is answered with MEDIA_TYPE_UNSUPPORTED.
 * Refuses bytes that are not UTF-8 instead of replacing them, and the keys `__proto__` and
 * `constructor.prototype`.
 */
export function useJsonBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
    const encoding = request.headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity') {
      done(new ServiceError('MEDIA_TYPE_UNSUPPORTED', 'body: expected no content encoding'), undefined)
    } else if (!isUtf8Type(request.headers['content-type'])) {
      done(new ServiceError('MEDIA_TYPE_UNSUPPORTED', 'body: expected the charset utf-8'), undefined)
    } else if (bytes.length === 0 && request.routeOptions.schema?.body === undefined) {
      // Some clients send a content type with a DELETE that has no body.
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

/** True unless the content type, which fastify has parsed, has another `charset`. */
function isUtf8Type(contentType = ''): boolean {
  try {
    const charset = new MIMEType(contentType).params.get('charset') ?? 'utf-8'
    return /^utf-?8$/i.test(charset)
  } catch {
    return false
  }
}

function invalidBody(detail: string): ServiceError {
  return new ServiceError('REQUEST_INVALID', `body: ${detail}`, { faults: [{ pointer: '', detail }] })
}
