import { describe, expect, it } from 'vitest'
import { openDatabase, query, transaction } from '#database'
import { createServerDatabase, expectServers, servers } from '../../support/server-database.ts'
import { withDatabase } from '../../support/servers.ts'
import { silent } from '../../support/test-database.ts'

const UNAVAILABLE = expect.objectContaining({ code: 'STORE_UNAVAILABLE' })

describe.skipIf(servers === null)('a database server', () => {
  it('that does not exist is unavailable; one that lacks the database is unsuitable', async () => {
    const absent = 'postgres://postgres@127.0.0.1:1/postgres'
    await expect(openDatabase({ url: absent, dataDir: '', logger: silent })).rejects.toEqual(UNAVAILABLE)
    const missing = withDatabase(expectServers().databaseUrl, 'no_such_database')
    await expect(openDatabase({ url: missing, dataDir: '', logger: silent })).rejects.toMatchObject({
      code: 'DATABASE_UNSUITABLE',
    })
  })

  it('that ends a connection makes one operation fail and answers the next', async () => {
    const test = await createServerDatabase()
    const { database } = test
    const backends =
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()'
    await expect(query(database, 'cut', backends)).rejects.toEqual(UNAVAILABLE)
    await expect(transaction(database, 'cut', (client) => client.query(backends))).rejects.toEqual(
      UNAVAILABLE,
    )
    expect((await query(database, 'ask', 'select 1 as one')).rows).toEqual([{ one: 1 }])
    await test.drop()
  })

  it('returns its own error for a wrong statement', async () => {
    const test = await createServerDatabase()
    await expect(query(test.database, 'ask', 'selec 1')).rejects.toMatchObject({ code: '42601' })
    await test.drop()
  })
})
