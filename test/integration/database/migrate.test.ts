import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrate } from '#database'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'
import { MIGRATIONS } from '../../support/test-database.ts'

describe.skipIf(servers === null)('migrate', () => {
  let test: ServerDatabase
  let directory: string
  const pools: pg.Pool[] = []

  beforeEach(async () => {
    test = await createServerDatabase('template1')
    directory = await mkdtemp(join(tmpdir(), 'migrations-'))
  })
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.end()
    await test.drop()
    await rm(directory, { recursive: true })
  })

  async function write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, sql] of Object.entries(files)) await writeFile(join(directory, name), sql)
  }

  async function applied(): Promise<number[]> {
    const { rows } = await test.database.pool.query('select number from schema_migrations order by number')
    return rows.map(({ number }) => number)
  }

  it('runs each file once when eight processes start at the same moment', async () => {
    await write({
      // Slow enough that all processes arrive while the first one runs it.
      '0001_first.sql': 'create table marks (n integer); select pg_sleep(0.3); insert into marks values (1)',
      '0002_second.sql': 'insert into marks values (2); select pg_sleep(0.1)',
      '0003_third.sql': 'insert into marks values (3)',
    })
    for (let process = 0; process < 8; process++)
      pools.push(new pg.Pool({ connectionString: test.url, max: 2 }))
    const results = await Promise.all(pools.map((pool) => migrate(pool, directory)))
    expect(results.flat().sort()).toEqual([1, 2, 3])
    const { rows } = await test.database.pool.query('select n from marks order by n')
    expect(rows).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(await applied()).toEqual([1, 2, 3])
  })

  it('brings up the real schema when eight processes start at the same moment', async () => {
    for (let process = 0; process < 8; process++)
      pools.push(new pg.Pool({ connectionString: test.url, max: 2 }))
    const results = await Promise.all(pools.map((pool) => migrate(pool, MIGRATIONS)))
    expect(results.filter((numbers) => numbers.includes(1))).toHaveLength(1)
    expect(await migrate(test.database.pool, MIGRATIONS)).toEqual([])
  })

  it('rolls back a file that fails, and continues with it once it is fixed', async () => {
    await write({
      '0001_first.sql': 'create table first (n integer)',
      '0002_broken.sql': 'create table second (n integer); select 1 / 0',
    })
    await expect(migrate(test.database.pool, directory)).rejects.toMatchObject({ code: '22012' })
    expect(await applied()).toEqual([1])
    expect((await test.database.pool.query("select to_regclass('second') as t")).rows).toEqual([{ t: null }])
    await write({ '0002_broken.sql': 'create table second (n integer)' })
    expect(await migrate(test.database.pool, directory)).toEqual([2])
  })

  it('refuses a schema of a newer release and changes nothing', async () => {
    await write({ '0001_first.sql': 'create table first (n integer)', '0002_second.sql': 'select 2' })
    await migrate(test.database.pool, directory)
    await rm(join(directory, '0002_second.sql'))
    await expect(migrate(test.database.pool, directory)).rejects.toMatchObject({
      code: 'SCHEMA_TOO_NEW',
      message: 'migrate: expected a schema of at most 1, got 2: a newer release has migrated this database',
    })
    expect(await applied()).toEqual([1, 2])
  })

  it('accepts gaps between numbers, and refuses two files with one number', async () => {
    await write({ '0001_first.sql': 'select 1', '0020_later.sql': 'select 20' })
    expect(await migrate(test.database.pool, directory)).toEqual([1, 20])
    await write({ '0020_other.sql': 'select 20' })
    await expect(migrate(test.database.pool, directory)).rejects.toThrow('each with its own number')
  })

  it('refuses an applied file whose statements have changed, and no file whose comments have', async () => {
    await write({ '0001_first.sql': '-- One table.\ncreate table first (n integer);\n' })
    await migrate(test.database.pool, directory)
    await write({ '0001_first.sql': '-- The first table.\r\n\r\ncreate table first (n integer);\r\n' })
    expect(await migrate(test.database.pool, directory)).toEqual([])
    await write({ '0001_first.sql': 'create table first (n bigint);', '0002_second.sql': 'select 2' })
    await expect(migrate(test.database.pool, directory)).rejects.toMatchObject({
      code: 'SCHEMA_CHANGED',
      message: expect.stringContaining('expected 0001_first.sql as this database applied it'),
    })
    expect(await applied()).toEqual([1])
  })

  it('gives the files of a release without checksums theirs', async () => {
    await test.database.pool.query(`
      create table schema_migrations (
        number integer primary key, name text not null, applied_at timestamptz not null default now()
      );
      insert into schema_migrations (number, name) values (1, '0001_first.sql')`)
    await write({ '0001_first.sql': 'create table first (n integer)', '0002_second.sql': 'select 2' })
    expect(await migrate(test.database.pool, directory)).toEqual([2])
    const { rows } = await test.database.pool.query('select checksum from schema_migrations order by number')
    expect(rows.map(({ checksum }) => checksum.length)).toEqual([64, 64])
    await write({ '0001_first.sql': 'create table other (n integer)' })
    await expect(migrate(test.database.pool, directory)).rejects.toMatchObject({ code: 'SCHEMA_CHANGED' })
  })
})

describe.skipIf(servers === null)('the schema', () => {
  let test: ServerDatabase
  beforeAll(async () => {
    test = await createServerDatabase()
  })
  afterAll(() => test.drop())

  it('has the tenant first in every primary key, except in tables of the whole instance', async () => {
    const { rows } = await test.database.pool.query(`
      select c.relname as table, a.attname as first
      from pg_index i
      join pg_class c on c.oid = i.indrelid
      join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
      join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
      where i.indisprimary and c.relname <> 'schema_migrations'
      order by c.relname`)
    expect(rows).toEqual(
      [
        ['api_keys', 'id'],
        ['artifact_episodes', 'tenant_id'],
        ['artifacts', 'id'],
        ['audit_log', 'id'],
        ['candidate_thoughts', 'tenant_id'],
        ['candidates', 'tenant_id'],
        ['consolidation_steps', 'consolidation_id'],
        ['consolidations', 'id'],
        ['deletions', 'tenant_id'],
        ['deployment', 'id'],
        ['episode_latents', 'tenant_id'],
        ['episodes', 'tenant_id'],
        ['idempotency_keys', 'tenant_id'],
        ['learning', 'only_row'],
        ['limit_counters', 'key'],
        ['models', 'fingerprint'],
        ['outbox', 'tenant_id'],
        ['solutions', 'tenant_id'],
        ['tenant_cutoffs', 'tenant_id'],
      ].map(([table, first]) => ({ table, first })),
    )
  })

  it('retrieves through the index of retrievable episodes', async () => {
    const { pool } = test.database
    await pool.query(`
      insert into episodes (tenant_id, id, created_at, fingerprint, model_id, strategy, question, embedding, reasoning,
        reward, iterations, evaluations, generated_tokens, stopped, seed, admitted, has_latents)
      select 'tenant-' || n % 50, gen_random_uuid(), now(), 'f', 'm', 's', 'q', '[1,2,3]', 'r', 0, 0, 0, 0, 'x', n, true, n % 3 = 0
      from generate_series(1, 5000) n`)
    await pool.query('analyze episodes')
    const { rows } = await pool.query(`
      explain select id from episodes where tenant_id = 'tenant-7' and fingerprint = 'f' and steers
      order by projection <=> array_fill(1, array[256])::vector::halfvec limit 8`)
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('episodes_steering')
  })
})
