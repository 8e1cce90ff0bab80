import { describeLimiter } from '../../support/limiter-suite.ts'
import { createEmbeddedDatabase } from '../../support/test-database.ts'

describeLimiter('the embedded database', async () => {
  const { database, drop } = await createEmbeddedDatabase()
  return { store: { database, redis: null }, close: drop }
})
