/** @file The opaque place between two pages. */

import { isUuid } from '#database'
import { ServiceError } from '#errors'

/** The last row of a page: the next page holds what is older. */
export interface Place {
  /** ISO 8601, or `infinity` for the place before the newest row. */
  readonly createdAt: string
  readonly id: string
}

/** Before the newest row of all. */
export const START: Place = { createdAt: 'infinity', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }

const PLACE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (.{36})$/

export function encodeCursor({ createdAt, id }: Place): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url')
}

/** @throws ServiceError REQUEST_INVALID for anything that `encodeCursor` did not make */
export function decodeCursor(cursor: string): Place {
  const [, createdAt, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString('utf8')) ?? []
  if (createdAt === undefined || id === undefined || !isUuid(id) || Number.isNaN(Date.parse(createdAt))) {
    throw new ServiceError('REQUEST_INVALID', 'list episodes: expected a cursor of an earlier page', {
      faults: [{ pointer: '/cursor', detail: 'expected the nextCursor of an earlier page' }],
    })
  }
  return { createdAt, id }
}
