/** @file Workers whose queue cannot be opened, or refuses to work. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openDatabase } from '#database'
import { createEpisodeStore, createOutbox } from '#episodes'
import { connectQueues } from '#jobs'
import { throttleLog } from '#throttle-log'
import { RUN_CONSOLIDATION } from '../../../src/jobs/contracts.ts'
import { createQueueInRedis } from '../../../src/jobs/redis-backend.ts'
import { type Child, startCommand, startProgram } from '../../support/child-process.ts'
import { newEpisode } from '../../support/episodes.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'
import { freePort } from '../../support/service-process.ts'
import { silent } from '../../support/test-database.ts'

const WORKER = join(import.meta.dirname, '../../../src/worker.ts')
const settled = { timeout: 20_000, interval: 50 }

describe.skipIf(servers === null)('a queue that cannot be opened', () => {
  let test: ServerDatabase
  /** URL of a role that may do everything in `public`, and create no schema. */
  let limitedUrl: string
  const children: Child[] = []

  beforeAll(async () => {
    test = await createServerDatabase()
    const role = `limited_${new URL(test.url).pathname.slice(1)}`
    await test.database.pool.query(`create role ${role} login password 'x'`)
    await test.database.pool.query(`
      grant all on schema public to ${role};
      grant all on all tables in schema public to ${role};
      grant all on all sequences in schema public to ${role}`)
    const url = new URL(test.url)
    url.username = role
    url.password = 'x'
    limitedUrl = url.href
  })
  afterAll(async () => {
    const role = `limited_${new URL(test.url).pathname.slice(1)}`
    await test.database.pool.query(`drop owned by ${role}; drop role ${role}`)
    await test.drop()
  })
  afterEach(async () => {
    for (const child of children.splice(0)) await child.kill()
  })

  function startWorker(env: Readonly<Record<string, string>>): Child {
    const child = startProgram(WORKER, { env: { NIGHT_EVERY_EPISODES: '0', LOG_LEVEL: 'info', ...env } })
    children.push(child)
    return child
  }

  it('ends the worker with a line that names the missing right', async () => {
    const worker = startWorker({ DATABASE_URL: limitedUrl, REDIS_URL: '' })
    let stderr = ''
    worker.process.stderr!.on('data', (chunk) => {
      stderr += chunk
    })
    await vi.waitFor(() => expect(worker.process.exitCode).toBe(1), settled)
    await vi.waitFor(
      () =>
        expect(stderr).toMatch(/DATABASE_UNSUITABLE: open queue: expected CREATE on the database.*grant it/),
      settled,
    )
  })

  it('is reported by the ping of a process that does not end, which stays idle and closes at once', async () => {
    const database = await openDatabase({ url: limitedUrl, dataDir: '', logger: silent })
    const lines: string[] = []
    const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
    const queues = connectQueues({ database, logger })
    const worker = queues.startWorker({
      store: createEpisodeStore({ database }),
      outbox: createOutbox({ database }),
    })
    const before = process.cpuUsage()
    await delay(2_500)
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1_000).toBeLessThan(1_000)
    await expect(queues.ping()).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      message: expect.stringContaining('permission denied'),
    })
    expect(queues.isUp()).toBe(false)
    const asked = performance.now()
    await worker.close()
    await queues.close()
    expect(performance.now() - asked).toBeLessThan(1_000)
    await database.close()
    expect(lines.filter((line) => line.includes('queue cannot be opened'))).toHaveLength(1)
    expect(lines.length).toBeLessThanOrEqual(3)
  }, 20_000)

  it('opens when the right is granted', async () => {
    const database = await openDatabase({ url: limitedUrl, dataDir: '', logger: silent })
    const queues = connectQueues({ database, logger: silent })
    await expect(queues.ping()).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' })
    const { username, pathname } = new URL(limitedUrl)
    await test.database.pool.query(`grant create on database ${pathname.slice(1)} to ${username}`)
    await vi.waitFor(() => queues.ping(), settled)
    await vi.waitFor(() => expect(queues.isUp()).toBe(true), settled)
    await queues.close()
    await database.close()
  })

  it.each([
    ['Redis', async () => ({ DATABASE_URL: test.url, REDIS_URL: `redis://127.0.0.1:${await freePort()}` })],
    ['a port that speaks HTTP', async () => ({ DATABASE_URL: test.url, REDIS_URL: await startHttpServer() })],
  ])('lets the worker end on SIGTERM while it waits for %s, with few log lines', async (_name, env) => {
    const worker = startWorker(await env())
    await worker.line('ready: running jobs')
    await delay(3_000)
    const asked = performance.now()
    worker.process.kill('SIGTERM')
    await vi.waitFor(() => expect(worker.process.exitCode).toBe(0), settled)
    expect(performance.now() - asked).toBeLessThan(3_000)
    expect(worker.lines.length).toBeLessThan(20)
  })

  async function startHttpServer(): Promise<string> {
    const port = await freePort()
    const script = `require('http').createServer().listen(${port}, '127.0.0.1', () => console.log('up'))`
    const server = startCommand(process.execPath, ['-e', script])
    children.push(server)
    await server.line('up')
    return `redis://127.0.0.1:${port}`
  }

  describe('a Redis of the test', () => {
    let folder: string
    let port: number

    async function startRedis(...args: string[]): Promise<string> {
      folder = await mkdtemp(join(tmpdir(), 'redis-'))
      port = await freePort()
      const fixed = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '']
      const redis = startCommand('redis-server', [...fixed, ...args])
      children.push(redis)
      await redis.line('Ready to accept connections')
      return `redis://127.0.0.1:${port}`
    }
    const redisCli = async (...args: string[]) => {
      const cli = startCommand('redis-cli', ['-p', `${port}`, ...args])
      await vi.waitFor(() => expect(cli.process.exitCode).toBe(0), settled)
    }
    afterEach(() => rm(folder, { recursive: true, force: true }))

    async function expectIndexed(store: ReturnType<typeof createEpisodeStore>, id: string) {
      await vi.waitFor(async () => expect((await store.get('tenant-a', id)).status).toBe('indexed'), settled)
    }

    it('that is full is logged a few times, and works again when it has room', async () => {
      const redisUrl = await startRedis('--maxmemory', '1mb', '--maxmemory-policy', 'noeviction')
      const lines: string[] = []
      const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
      const { database } = test
      const store = createEpisodeStore({ database })
      const queues = connectQueues({ database, redisUrl, logger })
      const worker = queues.startWorker({ store, outbox: createOutbox({ database }) })
      const episode = newEpisode()
      await store.add(episode)
      await delay(4_000)
      expect((await store.get('tenant-a', episode.id)).status).toBe('pending')
      expect(lines.length).toBeGreaterThan(0)
      expect(lines.length).toBeLessThanOrEqual(10)
      await expect(queues.ping()).rejects.toMatchObject({
        code: 'QUEUE_UNAVAILABLE',
        message: expect.stringContaining('expected Redis to accept writes, got OOM'),
      })
      await redisCli('config', 'set', 'maxmemory', '0')
      await queues.ping()
      await expectIndexed(store, episode.id)
      await worker.close()
      await queues.close()
    }, 40_000)

    it('that dropped a consolidation between two lists gets it again', async () => {
      const url = await startRedis()
      const ran: string[] = []
      const backend = createQueueInRedis({
        url,
        deployment: async () => 'one',
        log: throttleLog(silent),
      })
      const queue = backend.openQueue('consolidations')
      const jobs = [{ id: 'night', name: RUN_CONSOLIDATION, payload: {} }]
      await queue.add(jobs)
      await redisCli('lrem', '{circadian-one}:consolidations:wait', '1', 'night')
      await queue.add(jobs)
      await queue.add(jobs)
      backend.openWorker('consolidations', async ({ id }) => void ran.push(id!), { concurrency: 1 })
      await vi.waitFor(() => expect(ran).toEqual(['night']), settled)
      await delay(500)
      expect(ran).toEqual(['night'])
      await backend.close()
    }, 40_000)

    it('works as a cluster node: all keys have one slot', async () => {
      const redisUrl = await startRedis('--cluster-enabled', 'yes')
      await redisCli('cluster', 'addslotsrange', '0', '16383')
      await delay(1_500)
      const { database } = test
      const store = createEpisodeStore({ database })
      const queues = connectQueues({ database, redisUrl, logger: silent })
      const worker = queues.startWorker({ store, outbox: createOutbox({ database }) })
      const episode = newEpisode()
      await store.add(episode)
      await expectIndexed(store, episode.id)
      await worker.close()
      await queues.close()
    }, 40_000)

    it.each([
      ['a wrong password', 'redis://:wrong@', '', /check user, password and rights/],
      ['a database that it does not have', 'redis://:right@', '/99', /check the database number/],
    ])('ends the worker for %s', async (_name, scheme, path, reason) => {
      await startRedis('--requirepass', 'right')
      const worker = startWorker({
        DATABASE_URL: test.url,
        REDIS_URL: `${scheme}127.0.0.1:${port}${path}`,
      })
      let stderr = ''
      worker.process.stderr!.on('data', (chunk) => {
        stderr += chunk
      })
      await vi.waitFor(() => expect(worker.process.exitCode).toBe(1), settled)
      await vi.waitFor(() => expect(stderr).toMatch(reason), settled)
    })
  })
})
