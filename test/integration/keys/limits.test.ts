import { describe } from 'vitest'
import { connectQueues } from '#jobs'
import { describeLimiter } from '../../support/limiter-suite.ts'
import { createServerDatabase, emptyRedis, servers } from '../../support/server-database.ts'
import { silent } from '../../support/test-database.ts'

const REDIS_NUMBER = 11

describe.skipIf(servers === null)('with servers', () => {
  describeLimiter('PostgreSQL', async () => {
    const { database, drop } = await createServerDatabase()
    // Opens the connections. On a busy machine that takes a second, after which each process counts alone.
    await Promise.all(Array.from({ length: 10 }, () => database.pool.query('select')))
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
