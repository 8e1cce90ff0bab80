import { describe } from 'vitest'
import { describeConsolidations } from '../../support/consolidations-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeConsolidations('PostgreSQL', createServerDatabase)
})
