import { describe } from 'vitest'
import { describeQueues } from '../../support/queues-suite.ts'
import { createServerDatabase, emptyRedis, servers } from '../../support/server-database.ts'

describe.skipIf(servers === null)('with servers', () => {
  describeQueues('PostgreSQL', createServerDatabase)

  describeQueues('Redis', async () => ({ ...(await createServerDatabase()), redisUrl: await emptyRedis(1) }))
})
