/** @file The opaque cursor of a list: the last row of the page before. */

import { isUuid } from '#database'
import { ServiceError } from '#errors'

/** The last row of a page; the next page starts with the next older row. */
export interface Place {
  /** ISO 8601, or `infinity` for the start of the list. */
  readonly createdAt: string
  readonly id: string
}

/** The start of the list, before the newest row. */
export const START: Place = { createdAt: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }

const PLACE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (.{36})$/

export function encodeCursor({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url')
}

/** Reverses `encodeCursor`. @throws ServiceError REQUEST_INVALID for any other text */
export function decodeCursor(cursor: string): Place {
  const [, createdAt, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? []
  if (createdAt === undefined || id === undefined || !isUuid(id) || Number.isNaN(Date.parse(createdAt))) {
    throw new ServiceError('REQUEST_INVALID', 'list episodes: expected a cursor of an earlier page', {
      faults: [{ pointer: '/cursor', detail: 'expected the nextCursor of an earlier page' }],
    })
  }
  return { createdAt, id }
}
