import { describe } from 'vitest'
import { describeAudit } from '../../support/audit-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeAudit('PostgreSQL', createServerDatabase)
})
