/** @file Servers, roles and poolers that this service can use, and those that it refuses at the start. */

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, stat } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Database, migrate, openDatabase, query } from '#database'
import { createEpisodeStore } from '#episodes'
import type { ServiceError } from '#errors'
import { connectQueues } from '#jobs'
import { newEpisode } from '../../support/episodes.ts'
import { type PrivatePostgres, startPgBouncer, startPostgres } from '../../support/private-postgres.ts'
import { servers } from '../../support/server-database.ts'
import { runToExit } from '../../support/service-process.ts'
import { MIGRATIONS, silent } from '../../support/test-database.ts'

const OPENSSL = '/usr/bin/openssl'

const unsuitable = (text: string) =>
  expect.objectContaining({ code: 'DATABASE_UNSUITABLE', message: expect.stringContaining(text) })

describe.skipIf(servers === null)('a database server', () => {
  let postgres: PrivatePostgres
  const opened: Database[] = []
  let count = 0

  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterAll(async () => {
    for (const database of opened) await database.close()
    await postgres?.[Symbol.asyncDispose]()
  })

  /** Creates a database and runs statements in it. */
  async function create(...statements: readonly string[]): Promise<string> {
    count += 1
    const name = `case_${count}`
    await postgres.run(`create database ${name}`)
    for (const sql of statements) await postgres.run(sql, name)
    return name
  }

  async function open(url: string): Promise<Database> {
    const database = await openDatabase({ url, dataDir: '', logger: silent })
    opened.push(database)
    await migrate(database.pool, MIGRATIONS)
    return database
  }

  /** Opens the queue in the database, and returns why it cannot be opened; null when it answers. */
  async function queueFault(database: Database): Promise<ServiceError | null> {
    const fatal = Promise.withResolvers<ServiceError>()
    const queues = connectQueues({ database, logger: silent, onFatal: fatal.resolve })
    try {
      return await queues.ping().then(
        () => null,
        () => fatal.promise,
      )
    } finally {
      await queues.close()
    }
  }

  /** Stores, lists and retrieves an episode. */
  async function expectMemory(database: Database): Promise<void> {
    const store = createEpisodeStore({ database })
    const episode = newEpisode()
    await store.add(episode)
    const { episodes } = await store.list(episode.tenantId, { limit: 100 })
    expect(episodes.map(({ id }) => id)).toContain(episode.id)
    expect(Date.parse(episodes[0]!.createdAt)).toBeGreaterThan(Date.now() - 60_000)
    const { tenantId, fingerprint, embedding } = episode
    await store.nearest({ tenantId, fingerprint, embedding, topK: 1, minSimilarity: -1 })
  }

  describe('pgvector', () => {
    it('is found in a schema outside the search path', async () => {
      const name = await create('create schema extensions', 'create extension vector schema extensions')
      await expectMemory(await open(postgres.url(name)))
    })

    it('in a schema that the role may not use is refused', async () => {
      const name = await create(
        'create schema extensions',
        'create extension vector schema extensions',
        'create role stranger login',
        'grant create on schema public to stranger',
      )
      await expect(open(postgres.url(name, 'stranger'))).rejects.toEqual(
        unsuitable('expected USAGE on the schema extensions of pgvector'),
      )
    })
  })

  describe('a role', () => {
    it('that may not create the extension is told who may', async () => {
      const name = await create('create role plain login', 'grant create on schema public to plain')
      await expect(open(postgres.url(name, 'plain'))).rejects.toEqual(
        unsuitable('(or an administrator who runs `create extension vector`)'),
      )
    })

    it('that may not create tables is told where the rights are listed', async () => {
      const name = await create('create extension vector', 'create role reader login')
      await expect(open(postgres.url(name, 'reader'))).rejects.toEqual(unsuitable('docs/operations.md'))
      const { code, stderr } = await runToExit({ DATABASE_URL: postgres.url(name, 'reader'), PORT: '0' })
      expect(code).toBe(1)
      expect(stderr).toMatch(
        /^circadian: DATABASE_UNSUITABLE: migrate: .*permission denied for schema public\n$/,
      )
    })

    it('with rights on rows only serves a database that another role has migrated', async () => {
      const name = await create('create role rows login')
      const owner = await open(postgres.url(name))
      await owner.pool.query('grant select, insert, update, delete on all tables in schema public to rows')
      const database = await open(postgres.url(name, 'rows'))
      await expectMemory(database)
      expect(await queueFault(database)).toEqual(
        unsuitable('expected CREATE on the database, for the schema bullmq; grant it'),
      )
      await owner.pool.query(`grant create on database ${name} to rows`)
      expect(await queueFault(database)).toBeNull()
    })

    it('with a date style, a time zone and other settings of its own gives the same dates', async () => {
      const name = await create(
        "create role german login superuser; alter role german set datestyle to 'SQL, DMY'",
        "alter role german set timezone to 'Asia/Kathmandu'; alter role german set bytea_output to 'escape'",
      )
      const database = await open(postgres.url(name, 'german'))
      await expectMemory(database)
      const { rows } = await query(database, 'ask', 'show statement_timeout')
      expect(rows).toEqual([{ statement_timeout: '30s' }])
    })

    it('that does not exist ends the start', async () => {
      await expect(open(postgres.url('postgres', 'nobody_here'))).rejects.toEqual(
        unsuitable('expected a user, a password and a database that exist'),
      )
    })
  })

  it('takes a socket as host, in both notations', async () => {
    const name = await create()
    const folder = encodeURIComponent(postgres.folder)
    await expectMemory(await open(`postgres://postgres@${folder}:${postgres.port}/${name}`))
    await expectMemory(await open(`postgres://postgres@/${name}?host=${folder}&port=${postgres.port}`))
  })

  it('replaces a connection whose server refuses writes', async () => {
    const database = await open(postgres.url(await create()))
    const pid = async () => (await query(database, 'ask', 'select pg_backend_pid() as pid')).rows[0]?.['pid']
    const before = await pid()
    const readOnly = 'set default_transaction_read_only = on'
    await query(database, 'demote', readOnly)
    await expect(query(database, 'write', 'create table t ()')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('write: expected a database that accepts writes'),
    })
    expect(await pid()).not.toBe(before)
    await query(database, 'write', 'create table t ()')
  })

  describe.skipIf(!existsSync(OPENSSL))('with TLS', () => {
    let secure: PrivatePostgres
    let certificate: string

    beforeAll(async () => {
      secure = await startPostgres()
      certificate = join(secure.folder, 'server.crt')
      const key = join(secure.folder, 'server.key')
      const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
      const files = ['-keyout', key, '-out', certificate]
      execFileSync(
        OPENSSL,
        ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, ...files],
        {
          stdio: 'ignore',
        },
      )
      const { uid, gid } = await stat(join(secure.folder, 'data'))
      await chown(key, uid, gid)
      await chmod(key, 0o600)
      await secure.run(`alter system set ssl_cert_file = '${certificate}'`)
      await secure.run(`alter system set ssl_key_file = '${key}'`)
      await secure.run('alter system set ssl = on')
      await secure.run('select pg_reload_conf()')
      await vi.waitFor(async () => expect((await secure.run('show ssl')).rows).toEqual([{ ssl: 'on' }]), {
        timeout: 10_000,
      })
    })
    afterAll(() => secure?.[Symbol.asyncDispose]())

    it('and a certificate of no known authority is refused with the forms that work', async () => {
      for (const mode of ['require', 'verify-full']) {
        await expect(open(`${secure.url('postgres')}?sslmode=${mode}`)).rejects.toEqual(
          unsuitable('sslmode=verify-full&sslrootcert=FILE'),
        )
      }
    })

    it('is used with its certificate, or without a check of it', async () => {
      for (const mode of [
        `sslmode=verify-full&sslrootcert=${encodeURIComponent(certificate)}`,
        'sslmode=require&uselibpqcompat=true',
        'sslmode=no-verify',
      ]) {
        const database = await open(`${secure.url('postgres')}?${mode}`)
        const sql = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
        expect((await query(database, 'ask', sql)).rows).toEqual([{ ssl: true }])
      }
    })

    it('missing on the server, or with a missing file, is refused', async () => {
      await expect(open(`${postgres.url('postgres')}?sslmode=require`)).rejects.toEqual(
        unsuitable('expected a server with TLS'),
      )
      await expect(
        open(`${postgres.url('postgres')}?sslmode=verify-full&sslrootcert=/no/such.pem`),
      ).rejects.toEqual(unsuitable('expected the certificate file'))
    })
  })

  describe.skipIf(!existsSync('/usr/sbin/pgbouncer'))('behind PgBouncer in transaction mode', () => {
    for (const settings of [[], ['ignore_startup_parameters = extra_float_digits,options']]) {
      it(`runs the application's statements, and cannot hold the queue (${settings[0] ?? 'default'})`, async () => {
        const name = await create("alter role postgres set datestyle to 'SQL, DMY'")
        await using pooler = await startPgBouncer(postgres, settings)
        const database = await open(pooler.url(name))
        await Promise.all(Array.from({ length: 12 }, () => expectMemory(database)))
        // The pooler lends the same connections to other clients: they must not find settings of ours.
        const other = new pg.Client({ connectionString: pooler.url(name) })
        await other.connect()
        const sql =
          "select current_setting('statement_timeout') as timeout, current_setting('search_path') as path"
        expect((await other.query(sql)).rows).toEqual([{ timeout: '0', path: '"$user", public' }])
        await other.end()

        expect(await queueFault(database)).toEqual(
          unsuitable('expected a direct connection to PostgreSQL for the queue, or a pooler in session mode'),
        )
        const env = { DATABASE_URL: pooler.url(name) }
        const { code, stderr } = await runToExit(env, 'src/worker.ts')
        expect(code).toBe(1)
        expect(stderr).toMatch(/^circadian: DATABASE_UNSUITABLE: open queue: .*set REDIS_URL.*\n$/)
        await database.close()
      })
    }

    it('names the search path when pgvector is in another schema', async () => {
      const name = await create('create schema extensions', 'create extension vector schema extensions')
      await using pooler = await startPgBouncer(postgres)
      await expect(open(pooler.url(name))).rejects.toEqual(
        unsuitable('expected the schema extensions of pgvector on the search path, got a pooler'),
      )
      await postgres.run(`alter database ${name} set search_path = public, extensions`)
      await using fresh = await startPgBouncer(postgres)
      const database = await open(fresh.url(name))
      await expectMemory(database)
      await database.close()
    })
  })

  it('without a free connection fails the statements that need one, and no other', async () => {
    await using small = await startPostgres(['max_connections = 8', 'superuser_reserved_connections = 3'])
    await small.run('create role few login')
    const database = await openDatabase({ url: small.url('postgres', 'few'), dataDir: '', logger: silent })
    const all = Array.from({ length: 10 }, () => query(database, 'sleep', 'select pg_sleep(1)'))
    const outcomes = await Promise.allSettled(all)
    const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(failed.length).toBe(5)
    for (const { reason } of failed) expect(reason.cause).toMatchObject({ code: '53300' })
    expect(database.state()).toBe('up')
    await database.close()
  })

  it('holds the queue when the connection is direct', async () => {
    expect(await queueFault(await open(postgres.url(await create())))).toBeNull()
  })
})
