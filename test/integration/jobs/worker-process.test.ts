/** @file The worker process as it is deployed: its signals, its port, its log. */

import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createConsolidationStore } from '#artifacts'
import { createEpisodeStore } from '#episodes'
import { type Child, startCommand, startProgram } from '../../support/child-process.ts'
import { newEpisode } from '../../support/episodes.ts'
import { parseExposition, total } from '../../support/exposition.ts'
import {
  createServerDatabase,
  emptyRedis,
  type ServerDatabase,
  servers,
} from '../../support/server-database.ts'
import { childrenOf, freePort } from '../../support/service-process.ts'

const WORKER = join(import.meta.dirname, '../../../src/worker.ts')
const settled = { timeout: 20_000, interval: 50 }

describe.skipIf(servers === null)('the worker process', () => {
  let test: ServerDatabase
  const children: Child[] = []

  beforeAll(async () => {
    test = await createServerDatabase()
  })
  afterAll(() => test.drop())
  afterEach(async () => {
    for (const child of children.splice(0)) await child.kill()
  })

  const environment = async (more: Readonly<Record<string, string>> = {}) => ({
    DATABASE_URL: test.url,
    REDIS_URL: await emptyRedis(8),
    NIGHT_EVERY_EPISODES: '0',
    LOG_LEVEL: 'info',
    ...more,
  })

  it('started by npm ends with 0 when npm gets SIGTERM', async () => {
    const npm = startCommand('npm', ['run', 'start:worker'], await environment())
    children.push(npm)
    await npm.line('ready: running jobs')
    const [worker, ...others] = await childrenOf(npm.process.pid!)
    expect(others).toEqual([])
    const exited = once(npm.process, 'exit')
    npm.process.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    expect(() => process.kill(worker!, 0)).toThrow('ESRCH')
    children.pop()
  })

  it('serves its health and its metrics on WORKER_PORT, and refuses a port in use', async () => {
    const port = await freePort()
    const env = await environment({ WORKER_PORT: `${port}` })
    const worker = startProgram(WORKER, { env })
    children.push(worker)
    await worker.line('ready: running jobs')
    const origin = `http://127.0.0.1:${port}`
    expect(await (await fetch(`${origin}/livez`)).json()).toEqual({ status: 'ok' })
    await vi.waitFor(async () => {
      const ready = await fetch(`${origin}/readyz`)
      expect([ready.status, await ready.json()]).toEqual([
        200,
        { status: 'ready', checks: { database: { ok: true }, queue: { ok: true } } },
      ])
    }, settled)
    expect((await fetch(`${origin}/else`)).status).toBe(404)
    expect((await fetch(`${origin}/metrics`, { method: 'POST' })).status).toBe(404)

    await createEpisodeStore({ database: test.database }).add(newEpisode())
    await vi.waitFor(async () => {
      const metrics = parseExposition(await (await fetch(`${origin}/metrics`)).text())
      const done = { name: 'episode.index', outcome: 'completed' }
      expect(total(metrics, 'circadian:jobs_total', done)).toBe(1)
      expect(total(metrics, 'circadian:dependency_up', { name: 'queue' })).toBe(1)
      expect(metrics.get('circadian:outbox_rows')?.samples).toHaveLength(1)
      expect(total(metrics, 'process_resident_memory_bytes')).toBeGreaterThan(0)
    }, settled)

    const second = startProgram(WORKER, { env })
    let stderr = ''
    second.process.stderr!.on('data', (chunk) => {
      stderr += chunk
    })
    expect(await once(second.process, 'close')).toEqual([1, null])
    expect(stderr).toMatch(/PORT_TAKEN.*set WORKER_PORT/)

    worker.process.kill('SIGTERM')
    await vi.waitFor(() => expect(worker.process.exitCode).toBe(0), settled)
  })

  it('logs the id of the request in the lines of its job, and warnings of libraries as JSON', async () => {
    const { database } = test
    const worker = startProgram(WORKER, { env: await environment() })
    children.push(worker)
    await worker.line('ready: running jobs')
    await database.pool.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$;
      create trigger refuse before update on episodes for each row execute function refuse()`)
    await createEpisodeStore({ database }).add(newEpisode({ requestId: 'request-1' }))
    expect(JSON.parse(await worker.line('job failed'))).toMatchObject({ reqId: 'request-1', attempts: 1 })
    await database.pool.query('drop function refuse() cascade')
    const consolidation = { fingerprint: 'model', kinds: ['lrm'], force: true, trigger: 'request' } as const
    await createConsolidationStore({ database }).request({ ...consolidation, requestId: 'request-2' })
    await vi.waitFor(() => expect(worker.lines.join('\n')).toContain('request-2'), settled)
    for (const line of worker.lines) expect(JSON.parse(line)).toBeTypeOf('object')
  })
})
