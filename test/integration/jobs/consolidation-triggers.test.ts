import { describe } from 'vitest'
import { describeConsolidationTriggers } from '../../support/consolidation-triggers-suite.ts'
import { createServerDatabase, emptyRedis, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeConsolidationTriggers('PostgreSQL', createServerDatabase)

  describeConsolidationTriggers('Redis', async () => ({
    ...(await createServerDatabase()),
    redisUrl: await emptyRedis(4),
  }))
})
