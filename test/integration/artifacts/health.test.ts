import { describe } from 'vitest'
import { describeHealth } from '../../support/health-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeHealth('PostgreSQL', createServerDatabase)
})
