/** @file Clients that retry with idempotency keys while an API process is killed: one answer and one episode for each key. */

import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Solution } from '#solving'
import { makeProblems } from '../../../models/order-of-operations/problems.ts'
import { createServerDatabase, type ServerDatabase, servers } from '../../support/server-database.ts'
import { type ServiceProcess, startService } from '../../support/service-process.ts'

const CLIENTS = 20

describe.skipIf(servers === null)('a killed API process', () => {
  let test: ServerDatabase
  let apis: ServiceProcess[] = []

  beforeAll(async () => {
    test = await createServerDatabase()
    const env = { DATABASE_URL: test.url }
    apis = await Promise.all([startService(env), startService(env)])
  }, 120_000)
  afterAll(async () => {
    for (const api of apis) await api[Symbol.asyncDispose]()
    await test.drop()
  })

  /** Asks until there is an answer, of one process after the other. */
  async function answerOf(key: string, question: string, from: number): Promise<Solution> {
    for (let attempt = from; ; attempt++) {
      const response = await fetch(`${apis[attempt % 2]!.origin}/solve`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify({ question, strategy: 'majority', samples: 16 }),
      }).catch(() => null)
      const text = await response?.text().catch(() => null)
      if (response?.ok && text) return JSON.parse(text)
      await delay(100)
    }
  }

  it('loses no request and answers none twice', async () => {
    const problems = makeProblems({ split: 'train', count: CLIENTS, seed: 14 })
    // Each client sends its request twice, to both processes.
    const asking = problems.flatMap(({ question }, client) =>
      [0, 1].map((from) => answerOf(`client ${client}`.replace(' ', '-'), question, from)),
    )
    for (;;) {
      const { rows } = await test.database.pool.query(
        'select count(result)::integer as answered, count(*)::integer as begun from idempotency_keys',
      )
      if (rows[0].begun === CLIENTS && rows[0].answered >= 2) break
      await delay(5)
    }
    await apis[0]!.kill('SIGKILL')
    const answers = await Promise.all(asking)
    const { rows: unanswered } = await test.database.pool.query(
      'select count(*)::integer as taken from idempotency_keys where result is null',
    )
    expect(unanswered).toEqual([{ taken: 0 }])
    for (let client = 0; client < CLIENTS; client++)
      expect(answers[2 * client], `client ${client}`).toEqual(answers[2 * client + 1])
    const { rows } = await test.database.pool.query<{ id: string }>('select id from episodes')
    expect(rows.map(({ id }) => id).sort()).toEqual(
      Array.from({ length: CLIENTS }, (_, client) => answers[2 * client]!.episodeId).sort(),
    )
  }, 120_000)

  it('leaves the other one whole: callers ask, retrieve, label and delete behind row-level security', async () => {
    const api = apis[1]!
    const asked: Solution[] = []
    const problems = makeProblems({ split: 'train', count: 5, seed: 15 })
    for (const { question } of [...problems, ...problems])
      asked.push((await api.ask<Solution>('/solve', { body: { question } })).body)
    for (const { degraded } of asked) expect(degraded).toEqual([])
    expect(asked.flatMap(({ retrieved }) => retrieved).length).toBeGreaterThan(0)
    const [body] = asked
    const url = `/episodes/${body!.episodeId}`
    expect((await api.ask(`${url}/feedback`, { body: { correct: true } })).status).toBe(200)
    expect((await api.ask('/episodes')).status).toBe(200)
    expect((await api.ask(url, { method: 'DELETE' })).status).toBe(204)
    expect((await api.ask('/episodes', { method: 'DELETE' })).status).toBe(202)
    expect((await api.ask('/admin/artifacts')).status).toBe(200)
    const { rows } = await test.database.pool.query(
      "select 1 from pg_roles where rolname = 'circadian_tenant'",
    )
    expect(rows).toHaveLength(1)
  })
})
