/** @file Row-level security: statements of a caller cannot reach another tenant, whatever they ask for. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { asTenant, openTenantWall, query, transaction } from '#database'
import { createEpisodeStore, type EpisodeStore } from '#episodes'
import { createSolutionStore } from '#jobs'
import { createIdempotencyStore, SCOPES } from '#keys'
import { contractYaml } from '../../../src/http/openapi.ts'
import { newEpisode } from '../../support/episodes.ts'
import { unverifiedApp } from '../../support/http-app.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'
import { silent } from '../../support/test-database.ts'

/** Tables with a tenant that operators and the look-up of keys read across tenants. */
const OPEN_TABLES = ['api_keys', 'audit_log']

describe.skipIf(servers === null)('row-level security', () => {
  let test: ServerDatabase
  let store: EpisodeStore
  const ids = { mine: randomUUID(), theirs: randomUUID() }

  beforeAll(async () => {
    test = await createServerDatabase()
    const { database } = test
    await openTenantWall(database.pool, database.wall!, silent)
    expect(database.wall).toEqual({ isUp: true })
    store = createEpisodeStore({ database })
    await store.add({ ...newEpisode(), tenantId: 'mine', id: ids.mine })
    await store.add({ ...newEpisode(), tenantId: 'theirs', id: ids.theirs })
  })
  afterAll(() => test.drop())

  const count = async (table: string) => {
    const { rows } = await query<{ tenants: string[] }>(
      test.database,
      'count',
      `select coalesce(array_agg(distinct tenant_id), '{}') as tenants from ${table}`,
    )
    return rows[0]?.tenants
  }

  it('has a policy on every table with a tenant', async () => {
    const { rows } = await test.database.pool.query(
      `select table_name as name, relrowsecurity as walled,
        (select count(*)::integer from pg_policies where tablename = table_name) as policies
      from information_schema.columns join pg_class on oid = table_name::regclass
      where column_name = 'tenant_id' and table_schema = 'public' order by 1`,
    )
    expect(rows.length).toBeGreaterThan(10)
    for (const { name, ...wall } of rows)
      expect(wall, name).toEqual(
        OPEN_TABLES.includes(name) ? { walled: false, policies: 0 } : { walled: true, policies: 1 },
      )
  })

  it('shows statements without a tenant their own rows only, in transactions too', async () => {
    for (const table of ['episodes', 'candidates', 'outbox']) {
      expect(await count(table), table).toEqual(['mine', 'theirs'])
      expect(await asTenant('mine', () => count(table)), table).toEqual(['mine'])
      expect(await asTenant("no'body", () => count(table)), table).toEqual([])
    }
    const seen = await asTenant('theirs', () =>
      transaction(test.database, 'look', async (client) => {
        const { rows } = await client.query('select tenant_id, current_user as role from episodes')
        return rows
      }),
    )
    expect(seen).toEqual([{ tenant_id: 'theirs', role: 'circadian_tenant' }])
    // The connection is as before.
    expect(await count('episodes')).toEqual(['mine', 'theirs'])
  })

  it('lets no statement write into another tenant', async () => {
    const run = (sql: string) => asTenant('mine', () => query(test.database, 'write', sql))
    expect((await run("update episodes set question = 'x' where tenant_id = 'theirs'")).rowCount).toBe(0)
    expect((await run("delete from candidates where tenant_id = 'theirs'")).rowCount).toBe(0)
    await expect(
      run("insert into outbox (tenant_id, kind, payload) values ('theirs', 'k', '{}')"),
    ).rejects.toThrow('row-level security')
    await expect(run("update outbox set tenant_id = 'theirs'")).rejects.toThrow('row-level security')
    await expect(run('drop table episodes')).rejects.toThrow('owner')
  })

  it('is up again at once for further processes, also several at a time', async () => {
    const walls = Array.from({ length: 4 }, () => ({ isUp: false }))
    await Promise.all(walls.map((wall) => openTenantWall(test.database.pool, wall, silent)))
    expect(walls).toEqual(Array(4).fill({ isUp: true }))
  })

  it('stands behind every operation with an id, even if its statement asked for the other tenant', async () => {
    const { database } = test
    const solutions = createSolutionStore({ database })
    const solution = randomUUID()
    await solutions.add({ tenantId: 'theirs', id: solution, request: {} })
    const deletion = await store.removeAll('nobody')
    await database.pool.query("update deletions set tenant_id = 'theirs'")
    // As if every statement took the tenant from elsewhere than the key.
    const app = unverifiedApp({
      asTenant,
      authenticate: async (key) => ({
        keyId: key,
        tenantId: key ?? '',
        scopes: SCOPES,
        limits: { rate: null, tokens: null },
      }),
      idempotency: createIdempotencyStore({ database }),
      episodes: {
        ...store,
        get: (_, id) => store.get('theirs', id),
        label: (_, ...rest) => store.label('theirs', ...rest),
        remove: (_, id) => store.remove('theirs', id),
        deletion: (_, id) => store.deletion('theirs', id),
      },
      solutions: {
        ...solutions,
        get: (_, id) => solutions.get('theirs', id),
        cancel: (_, id) => solutions.cancel('theirs', id),
      },
    })
    await app.ready()
    const { paths }: { paths: Record<string, Record<string, object>> } = parse(contractYaml(app))
    const operations = Object.entries(paths)
      .filter(([path]) => path.includes('{id}') && !path.startsWith('/admin'))
      .flatMap(([path, item]) => Object.keys(item).map((method) => ({ path, method })))
    expect(operations.length).toBeGreaterThan(5)
    const ask = (tenant: string, path: string, method: string) => {
      const id = path.startsWith('/episodes')
        ? ids.theirs
        : path.startsWith('/solutions')
          ? solution
          : deletion.id
      return app.inject({
        method: method.toUpperCase() as 'GET',
        url: path.replace('{id}', id),
        headers: { authorization: `Bearer ${tenant}` },
        ...(method === 'post' && { payload: { correct: true } }),
      })
    }
    for (const { path, method } of operations)
      expect((await ask('mine', path, method)).statusCode, `${method} ${path}`).toBe(404)
    for (const { path, method } of operations.toSorted((one) => (one.method === 'delete' ? 1 : -1)))
      expect((await ask('theirs', path, method)).statusCode, `${method} ${path}`).toBeLessThan(300)
    await app.close()
  })
})
