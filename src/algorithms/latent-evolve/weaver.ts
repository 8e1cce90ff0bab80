/** @file The weaver before its first night: the identity. */

import type { Weaver } from '#ports'

export const identityWeaver: Weaver = {
  version: null,
  apply: async (rows) => rows.map(({ zBase }) => zBase),
}
