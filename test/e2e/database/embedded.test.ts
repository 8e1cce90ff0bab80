import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Database, migrate, openDatabase, query, transaction } from '#database'
import { startProgram } from '../../support/child-process.ts'
import { createEmbeddedDatabase, MIGRATIONS, silent } from '../../support/test-database.ts'

const WRITER = join(import.meta.dirname, '../../support/episode-writer.ts')

describe('the data directory', () => {
  let dataDir: string
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'circadian-'))
  })
  afterAll(() => rm(dataDir, { recursive: true }))

  it('serves one instance; a second one gets the process id of the first', async () => {
    const writer = startProgram(WRITER, { args: [dataDir] })
    try {
      await writer.line('open')
      await expect(openDatabase({ dataDir, logger: silent })).rejects.toMatchObject({
        code: 'DATA_DIR_LOCKED',
        message: expect.stringContaining(`process ${writer.process.pid} `),
      })
    } finally {
      await writer.kill()
    }
  })

  it('is unlocked when its owner is killed, even if instance.pid names a living process', async () => {
    expect(await readFile(join(dataDir, 'instance.pid'), 'utf8')).toMatch(/^\d+\n$/)
    await writeFile(join(dataDir, 'instance.pid'), `${process.pid}\n`)
    const database = await openDatabase({ dataDir, logger: silent })
    await expect(openDatabase({ dataDir, logger: silent })).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: expect.stringContaining(`process ${process.pid} `),
    })
    await database.close()
    await database.close()
    const again = await openDatabase({ dataDir, logger: silent })
    await again.close()
    for (const asked of [query(again, 'ask', 'select 1'), transaction(again, 'ask', async () => {})]) {
      await expect(asked).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringMatching(/^ask: expected the database to answer/),
      })
    }
  })

  it('must be writable', async () => {
    const file = join(dataDir, 'file')
    await writeFile(file, '')
    for (const unwritable of [file, join(file, 'below'), '/proc/circadian', '/proc/circadian/below']) {
      await expect(openDatabase({ dataDir: unwritable, logger: silent })).rejects.toMatchObject({
        code: 'DATA_DIR_UNWRITABLE',
        message: expect.stringContaining(unwritable),
      })
    }
  })

  it('with a damaged cluster makes the start throw STORE_UNAVAILABLE, and stays unlocked', async () => {
    const damaged = join(dataDir, 'damaged')
    await cp(join(dataDir, 'postgres'), join(damaged, 'postgres'), { recursive: true })
    await writeFile(join(damaged, 'postgres/global/pg_control'), 'nonsense')
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(openDatabase({ dataDir: damaged, logger: silent })).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining('start the embedded database'),
      })
    }
  })
})

describe('the embedded database', () => {
  let database: Database
  let drop: () => Promise<void>
  beforeAll(async () => {
    ;({ database, drop } = await createEmbeddedDatabase())
    await database.pool.query('create table notes (writer integer, n integer)')
  })
  afterAll(() => drop())

  it('applies each migration once', async () => {
    expect(await migrate(database.pool, MIGRATIONS)).toEqual([])
  })

  it('gives each of many connections its own answers, errors and transactions', async () => {
    const clients = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const client = new pg.Client({ connectionString: database.connectionString })
        await client.connect()
        return client
      }),
    )
    const converse = async (client: pg.Client, writer: number) => {
      for (let n = 0; n < 60; n++) {
        // Each client has its own number of parameters: the answer to another client's statement would
        // differ in shape.
        const values = Array.from({ length: writer + 1 }, (_, index) => `${writer}.${n}.${index}`)
        const columns = values.map((_, index) => `$${index + 1}::text as c${index}`)
        const { rows } = await client.query(`select ${columns}`, values)
        expect(Object.values(rows[0])).toEqual(values)
        if (writer % 3 === 0)
          await expect(client.query('select 1 / $1::integer', [0])).rejects.toThrow('zero')
        if (writer % 3 !== 1) continue
        await client.query('begin')
        await client.query('insert into notes values ($1, $2)', [writer, n])
        await new Promise((resolve) => setTimeout(resolve, 1))
        await client.query(n % 2 === 0 ? 'commit' : 'rollback')
      }
    }
    await Promise.all(clients.map(converse))
    for (const client of clients) await client.end()
    const { rows } = await database.pool.query(
      'select writer, count(*)::integer as n from notes group by writer order by writer',
    )
    expect(rows).toEqual([
      { writer: 1, n: 30 },
      { writer: 4, n: 30 },
    ])
  })

  it('rolls back the transaction of a connection that breaks', async () => {
    const client = new pg.Client({ connectionString: database.connectionString })
    client.on('error', () => {})
    await client.connect()
    await client.query('begin')
    await client.query('insert into notes values (99, 1)')
    const waiting = database.pool.query('select count(*)::integer as n from notes where writer = 99')
    // Not `end`, which sends Terminate first.
    client.connection.stream.destroy()
    expect((await waiting).rows).toEqual([{ n: 0 }])
  })

  it('sends notifications to listening connections', async () => {
    const listener = new pg.Client({ connectionString: database.connectionString })
    await listener.connect()
    const received = new Promise((resolve) =>
      listener.once('notification', ({ payload }) => resolve(payload)),
    )
    await listener.query('listen news')
    await database.pool.query("notify news, 'hello'")
    expect(await received).toBe('hello')
    await listener.end()
  })

  it('refuses connections with a wrong password', async () => {
    const url = new URL(database.connectionString)
    url.password = 'guess'
    const client = new pg.Client({ connectionString: url.href })
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' })
  })

  it('survives a client that does not use the Postgres protocol', async () => {
    const { port } = new URL(database.connectionString)
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('close', () => resolve()).on('error', () => {})
      socket.end('GET / HTTP/1.1\r\n\r\n')
      socket.setTimeout(500, () => socket.destroy())
    })
    expect((await database.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  it('commits a transaction completely or not at all', async () => {
    const failed = transaction(database, 'test', async (client) => {
      await client.query('insert into notes values (7, 1)')
      throw new Error('changed my mind')
    })
    await expect(failed).rejects.toThrow('changed my mind')
    await transaction(database, 'test', (client) => client.query('insert into notes values (7, 2)'))
    const { rows } = await database.pool.query('select n from notes where writer = 7')
    expect(rows).toEqual([{ n: 2 }])
  })
})
