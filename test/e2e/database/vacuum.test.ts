import { afterAll, beforeAll, expect, it } from 'vitest'
import { vacuumEmbedded } from '#database'
import { createEmbeddedDatabase, type TestDatabase } from '../../support/test-database.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await createEmbeddedDatabase()
})
afterAll(() => test.drop())

it('uses the space of replaced rows again, and has statistics', async () => {
  const { database } = test
  const read = async (sql: string) => Number((await database.pool.query(sql)).rows[0].n)
  const bytes = () => read("select pg_relation_size('padded') as n")
  await database.pool.query(
    "create table padded as select n, repeat('x', 500) as text from generate_series(1, 2000) as n",
  )
  expect(await vacuumEmbedded(database)).toBeGreaterThan(0)
  expect(await read("select reltuples as n from pg_class where relname = 'padded'")).toBe(2000)
  expect(await vacuumEmbedded(database)).toBe(0)
  const first = await bytes()
  for (let round = 0; round < 6; round++) {
    await database.pool.query('update padded set n = n + 1')
    await vacuumEmbedded(database)
  }
  // Twice: the rows of before and of after one update.
  expect(await bytes()).toBeLessThan(2.5 * first)
})
