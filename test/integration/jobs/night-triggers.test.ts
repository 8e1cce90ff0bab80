import { describe } from 'vitest'
import { describeNightTriggers } from '../../support/night-triggers-suite.ts'
import { createServerDatabase, emptyRedis, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeNightTriggers('PostgreSQL', createServerDatabase)

  describeNightTriggers('Redis', async () => ({
    ...(await createServerDatabase()),
    redisUrl: await emptyRedis(4),
  }))
})
