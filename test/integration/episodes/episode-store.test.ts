import { describe } from 'vitest'
import { describeEpisodeStore } from '../../support/episode-store-suite.ts'
import { createServerDatabase, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeEpisodeStore('PostgreSQL', createServerDatabase)
})
