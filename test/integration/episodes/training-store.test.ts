import { describe } from 'vitest'
import { createServerDatabase, servers } from '../../support/server-database.ts'
import { describeTrainingStore } from '../../support/training-store-suite.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeTrainingStore('PostgreSQL', createServerDatabase)
})
