import { describe } from 'vitest'
import { describeArtifactStore } from '../../support/artifact-store-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeArtifactStore('PostgreSQL', createServerDatabase)
})
