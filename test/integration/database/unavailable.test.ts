/** @file The service while its PostgreSQL freezes, refuses writes, or is not there yet. */

import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Solution } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { startProgram } from '../../support/child-process.ts'
import { type PrivatePostgres, startPostgres } from '../../support/private-postgres.ts'
import { servers } from '../../support/server-database.ts'
import { type ServiceProcess, startService } from '../../support/service-process.ts'

const WORKER = join(import.meta.dirname, '../../../src/worker.ts')
const [problem] = makeProblems({ split: 'heldout', count: 1, seed: 93 })
const settled = { timeout: 20_000, interval: 100 }

interface Problem {
  readonly code: string
}
interface Readiness {
  readonly status: string
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: string }>>
}

describe.skipIf(servers === null)('PostgreSQL of a running service', () => {
  let postgres: PrivatePostgres
  let service: ServiceProcess

  beforeAll(async () => {
    postgres = await startPostgres()
    service = await startService({ DATABASE_URL: postgres.url('postgres') })
  })
  afterAll(async () => {
    await service?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
  })

  const solve = (strategy: string) =>
    service.ask<Solution>('/solve', { body: { question: problem!.question, strategy } })

  async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
    const started = performance.now()
    const result = await work()
    return { ms: performance.now() - started, result }
  }

  /** Solves until an episode is stored; returns its id. */
  async function remembered(): Promise<string> {
    return vi.waitFor(async () => {
      const { body } = await solve('greedy')
      expect(body.episodeId).not.toBeNull()
      return body.episodeId!
    }, settled)
  }

  async function isUp(): Promise<string | undefined> {
    const text = await fetch(`${service.origin}/metrics`).then((response) => response.text())
    return /^circadian:dependency_up\{.*name="database".*\} (\d)$/m.exec(text)?.[1]
  }

  it('that freezes delays no answer by more than 3 s, and is used again when it thaws', async () => {
    await remembered()
    expect(await isUp()).toBe('1')
    await postgres.freeze()
    const worst = { solve: 0, episodes: 0 }
    const until = performance.now() + 6_000
    const clients = ['greedy', 'greedy', 'auto', 'auto'].map(async (strategy) => {
      while (performance.now() < until) {
        const { ms, result } = await timed(() => solve(strategy))
        expect(result.status).toBe(200)
        expect(result.body.degraded).toContain('learning')
        worst.solve = Math.max(worst.solve, ms)
      }
    })
    const reader = async () => {
      while (performance.now() < until) {
        const { ms, result } = await timed(() => service.ask<Problem>('/episodes'))
        expect([result.status, result.body.code]).toEqual([503, 'STORE_UNAVAILABLE'])
        worst.episodes = Math.max(worst.episodes, ms)
        await setTimeout(100)
      }
    }
    await Promise.all([...clients, reader()])
    console.info('worst answers while frozen, in ms', worst)
    expect(worst.solve).toBeLessThan(3_000)
    expect(worst.episodes).toBeLessThan(3_000)
    expect(await isUp()).toBe('0')

    const { status, body } = await service.ask<Readiness>('/readyz')
    expect([status, body.status]).toEqual([200, 'degraded'])
    expect(body.checks['database']).toEqual({ ok: false, detail: 'not reachable' })
    expect((await service.ask('/readyz?strict')).status).toBe(503)

    await postgres.thaw()
    await remembered()
    await vi.waitFor(async () => expect((await service.ask('/readyz?strict')).status).toBe(200), settled)
    expect(await isUp()).toBe('1')
    const lines = service.output().split('\n')
    expect(lines.filter((line) => line.includes('database unavailable'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('episode store unavailable')).length).toBeLessThanOrEqual(4)
  })

  it('that freezes for a moment keeps a budget', async () => {
    await remembered()
    await postgres.freeze()
    const { ms } = await timed(() =>
      service.ask('/solve', {
        body: { question: problem!.question, strategy: 'greedy', budget: { maxMs: 500 } },
      }),
    )
    await postgres.thaw()
    expect(ms).toBeLessThan(1_500)
    await remembered()
  })

  it('whose disk is full answers without learning, reports it, and learns again by itself', async () => {
    await remembered()
    await postgres.run(`
      create function refuse() returns trigger language plpgsql as $$
      begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
      create trigger refuse before insert on episodes execute function refuse()`)
    const isFull = 'database refuses writes'
    const count = () =>
      service
        .output()
        .split('\n')
        .filter((line) => line.includes(isFull)).length
    const before = count()
    for (let n = 0; n < 5; n++) {
      const { status, body } = await solve('greedy')
      expect([status, body.degraded, body.episodeId]).toEqual([200, ['learning'], null])
    }
    const { status, body } = await service.ask<Readiness>('/readyz')
    expect([status, body.status]).toEqual([200, 'degraded'])
    expect(body.checks['database']).toEqual({ ok: false, detail: 'refuses writes' })
    expect(await isUp()).toBe('0')
    expect((await service.ask('/episodes')).status).toBe(200)
    expect(count() - before).toBe(1)
    await postgres.run('drop function refuse cascade')
    await remembered()
    await vi.waitFor(async () => expect((await service.ask('/readyz?strict')).status).toBe(200), settled)
    expect(await isUp()).toBe('1')
  }, 60_000)

  it('that refuses writes is a 503 to feedback, deletion and consolidations, and recovers', async () => {
    const id = await remembered()
    await postgres.run('alter system set default_transaction_read_only = on')
    await postgres.run('select pg_reload_conf()')
    try {
      await vi.waitFor(async () => {
        expect((await service.ask<Readiness>('/readyz')).body.checks['database']).toEqual({
          ok: false,
          detail: 'refuses writes',
        })
      }, settled)
      for (const [method, path, body] of [
        ['POST', `/episodes/${id}/feedback`, { correct: true }],
        ['DELETE', `/episodes/${id}`, undefined],
        ['POST', '/admin/consolidations', {}],
      ] as const) {
        const response = await fetch(`${service.origin}${path}`, {
          method,
          ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
        })
        const { code } = (await response.json()) as Problem
        expect([path, response.status, code]).toEqual([path, 503, 'STORE_UNAVAILABLE'])
        expect(response.headers.get('retry-after')).toBe('5')
      }
      expect((await solve('greedy')).body.degraded).toEqual(['learning'])
      expect((await service.ask(`/episodes/${id}`)).status).toBe(200)
      expect(await isUp()).toBe('0')
    } finally {
      await postgres.run('alter system reset default_transaction_read_only')
      await postgres.run('select pg_reload_conf()')
    }
    await remembered()
    await vi.waitFor(async () => expect(await isUp()).toBe('1'), settled)
    expect((await service.ask(`/episodes/${id}/feedback`, { body: { correct: true } })).status).toBe(200)
  })

  it('that restarts is used again within seconds', async () => {
    await postgres.stop()
    await vi.waitFor(async () => expect(await isUp()).toBe('0'), settled)
    const { ms, result } = await timed(() => solve('greedy'))
    expect(result.body.degraded).toEqual(['learning'])
    expect(ms).toBeLessThan(2_000)
    await postgres.start()
    await remembered()
  })
})

describe.skipIf(servers === null)('PostgreSQL that is not there at the start', () => {
  it('is waited for: the API answers without episodes, the worker runs jobs later', async () => {
    await using postgres = await startPostgres()
    await postgres.stop()
    const env = { DATABASE_URL: postgres.url('postgres'), REDIS_URL: '', LOG_LEVEL: 'info' }
    const worker = startProgram(WORKER, { env })
    const stopped = startProgram(WORKER, { env })
    try {
      await using service = await startService({ ...env, LOG_LEVEL: 'warn' })
      const { body } = await service.ask<Readiness>('/readyz')
      expect([body.status, body.checks['database']?.ok]).toEqual(['degraded', false])
      const ask = () =>
        service.ask<Solution>('/solve', { body: { question: problem!.question, strategy: 'greedy' } })
      expect((await ask()).body.degraded).toEqual(['learning'])
      expect((await service.ask('/episodes')).status).toBe(503)

      await stopped.line('database unavailable')
      stopped.process.kill('SIGTERM')
      await vi.waitFor(() => expect(stopped.process.exitCode).toBe(0), settled)

      await postgres.start()
      const id = await vi.waitFor(async () => {
        const { episodeId } = (await ask()).body
        expect(episodeId).not.toBeNull()
        return episodeId!
      }, settled)
      await worker.line('ready: running jobs')
      await vi.waitFor(async () => {
        expect((await service.ask(`/episodes/${id}`)).body['status']).toBe('indexed')
      }, settled)
      const outages = [...worker.lines, ...service.output().split('\n')].filter((line) =>
        line.includes('database unavailable'),
      )
      expect(outages).toHaveLength(2)
    } finally {
      await worker.kill()
      stopped.process.kill('SIGKILL')
    }
  })
})
