import { describe } from 'vitest'
import { connectQueues } from '#jobs'
import { describeLimiter } from '../../support/limiter-suite.ts'
import { createServerDatabase, emptyRedis, servers } from '../../support/server-database.ts'
import { silent } from '../../support/test-database.ts'

const REDIS_NUMBER = 11

describe.skipIf(servers === null)('with servers', () => {
  describeLimiter('PostgreSQL', async () => {
    const { database, drop } = await createServerDatabase()
    return { store: { database, redis: null }, close: drop }
  })

  describeLimiter('Redis', async () => {
    const { database, drop } = await createServerDatabase()
    const queues = connectQueues({ redisUrl: await emptyRedis(REDIS_NUMBER), database, logger: silent })
    await queues.ping()
    return {
      store: { database, redis: queues.redis },
      async close() {
        await queues.close()
        await drop()
      },
    }
  })
})
