import { describe } from 'vitest'
import { describeIdempotency } from '../../support/idempotency-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeIdempotency('PostgreSQL', createServerDatabase)
})
