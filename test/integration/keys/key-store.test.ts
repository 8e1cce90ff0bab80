import { describe } from 'vitest'
import { describeKeyStore } from '../../support/key-store-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeKeyStore('PostgreSQL', createServerDatabase)
})
