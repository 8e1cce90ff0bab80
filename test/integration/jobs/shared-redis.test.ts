/** @file Two deployments, each with its own database, on one Redis. */

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
