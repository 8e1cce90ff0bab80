/** @file Two deployments, each with its own database, on one Redis. */

import pg from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createEpisodeStore, createOutbox } from '#episodes'
import { connectQueues } from '#jobs'
import { readDeployment } from '../../../src/jobs/deployment.ts'
import { newEpisode } from '../../support/episodes.ts'
import {
  createServerDatabase,
  emptyRedis,
  type ServerDatabase,
  servers,
} from '../../support/server-database.ts'

/** Ids as releases before migration 95 derived them. */
async function readLegacy(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query(`
    select left(encode(sha256(convert_to(
      deployment.id || ' ' || pg_database.oid || ' ' || system_identifier, 'UTF8')), 'hex'), 16) as id
    from deployment, pg_database, pg_control_system() where pg_database.datname = current_database()`)
  return rows.map(({ id }) => id)
}

const settled = { timeout: 20_000, interval: 50 }

describe.skipIf(servers === null)('two deployments on one Redis', () => {
  let deployments: ServerDatabase[]
  let redisUrl: string
  const closing: (() => Promise<void>)[] = []

  beforeAll(async () => {
    deployments = [await createServerDatabase(), await createServerDatabase()]
  })
  afterAll(async () => {
    for (const { drop } of deployments) await drop()
  })
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })

  function work(deployment: ServerDatabase, prefix?: string) {
    const { database } = deployment
    const store = createEpisodeStore({ database })
    const lines: Record<string, unknown>[] = []
    const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    const queues = connectQueues({ database, redisUrl, prefix, logger })
    const worker = queues.startWorker({ store, outbox: createOutbox({ database }) })
    closing.push(async () => {
      await worker.close()
      await queues.close()
    })
    const pending = async () => {
      const { rows } = await database.pool.query(
        "select count(*)::integer as n from episodes where status = 'pending'",
      )
      return rows[0].n
    }
    return { store, pending, lines }
  }

  it('index their own episodes, all of them, although both were copied from one database', async () => {
    redisUrl = await emptyRedis(7)
    const [one, other] = deployments.map((deployment) => work(deployment))
    for (let n = 0; n < 40; n++)
      await Promise.all([one!.store.add(newEpisode()), other!.store.add(newEpisode())])
    await vi.waitFor(
      async () => expect([await one!.pending(), await other!.pending()]).toEqual([0, 0]),
      settled,
    )
    expect([...one!.lines, ...other!.lines]).toEqual([])
    const ids = await Promise.all(deployments.map(({ database }) => readDeployment(database)))
    expect(ids[0]).toMatch(/^[0-9a-f]{16}$/)
    expect(ids[0]).not.toBe(ids[1])
    expect(await readDeployment(deployments[0]!.database)).toBe(ids[0])
  })

  it('have one id each for all roles, which a restored copy on another server does not keep', async () => {
    const { database, url } = deployments[0]!
    const { pool } = database
    const own = await readDeployment(database)
    const { rows } = await pool.query('select * from deployment')
    const [before] = await readLegacy(pool)
    expect(own).toBe(before)

    const role = `plain_${new URL(url).pathname.slice(1)}`
    await pool.query(`create role ${role} login; grant select, update on deployment to ${role}`)
    await pool.query('revoke execute on function pg_control_system() from public')
    const limitedUrl = new URL(url)
    limitedUrl.username = role
    const limited = new pg.Pool({ connectionString: limitedUrl.href })
    try {
      await expect(limited.query('select pg_control_system()')).rejects.toMatchObject({ code: '42501' })
      expect(await readDeployment({ pool: limited })).toBe(own)

      await pool.query("update deployment set server = 'another'")
      const copied = await readDeployment({ pool: limited })
      expect(copied).not.toBe(own)
      // A role that may ask moves the row; from then on all roles agree again.
      expect(await Promise.all([readDeployment(database), readDeployment(database)])).toEqual([own, own])
      expect(await readDeployment({ pool: limited })).toBe(own)

      // The row of a migration whose role could not ask stays as it is.
      await pool.query("update deployment set server = ''")
      const unknown = await readDeployment({ pool: limited })
      expect(await readDeployment(database)).toBe(unknown)
      expect(unknown).not.toBe(own)
    } finally {
      await limited.end()
      await pool.query('grant execute on function pg_control_system() to public')
      await pool.query('update deployment set server = $1', [rows[0].server])
      await pool.query(`drop owned by ${role}; drop role ${role}`)
    }
  })

  it('report the jobs of the other when they share a prefix by mistake', async () => {
    redisUrl = await emptyRedis(7)
    const [one, other] = deployments.map((deployment) => work(deployment, 'same'))
    for (let n = 0; n < 20; n++)
      await Promise.all([one!.store.add(newEpisode()), other!.store.add(newEpisode())])
    await vi.waitFor(() => expect(one!.lines.length + other!.lines.length).toBeGreaterThan(0), settled)
    const failed = [...one!.lines, ...other!.lines].filter(({ msg }) => msg === 'job failed')
    expect(failed[0]).toMatchObject({
      err: {
        message: expect.stringMatching(
          /expected a job of deployment \w+, got one of \w+: set another REDIS_PREFIX/,
        ),
      },
    })
  })
})
