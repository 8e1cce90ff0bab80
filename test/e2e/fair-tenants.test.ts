/**
 * @file One tenant with 300 requests at once, another with one at a time: the engine counts and shares by tenant, so that
 * the crowd of the first is refused for itself, and the second never.
 */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const HEAVY_REQUESTS = 300
const POLITE_REQUESTS = 30

const GONE = { status: 0, retryMs: 0 }

const keyOf = (tenant: string) => `a-key-of-the-tenant-${tenant}-with-enough-characters`

test('a tenant with 300 requests at once does not keep another one out', async () => {
  await using folder = await dataFolder()
  const path = join(folder.path, 'keys.json')
  const keys = ['heavy', 'polite'].map((tenant) => ({
    key: keyOf(tenant),
    name: tenant,
    tenant,
    scopes: ['solve', 'metrics'],
  }))
  await writeFile(path, JSON.stringify(keys))
  await using service = await startService({ DATA_DIR: folder.path, API_KEYS_FILE: path })
  const problems = makeProblems({ split: 'train', count: 64, seed: 7 })

  async function ask(tenant: string, index: number, body: object, signal?: AbortSignal) {
    const { question } = problems[index % problems.length]!
    const response = await fetch(`${service.origin}/solve`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${keyOf(tenant)}` },
      body: JSON.stringify({ question, learn: false, ...body }),
      ...(signal && { signal }),
    })
    const text = await response.text()
    const retryMs = 1_000 * Number(response.headers.get('retry-after'))
    return { status: response.status, retryMs, text }
  }

  /** Milliseconds of requests one after the other. */
  async function times(): Promise<number[]> {
    const measured: number[] = []
    for (let index = 0; index < POLITE_REQUESTS; index++) {
      const started = performance.now()
      const { status, text } = await ask('polite', index, { strategy: 'greedy' })
      expect(status, text).toBe(200)
      measured.push(performance.now() - started)
    }
    return measured.sort((one, other) => one - other)
  }

  await times()
  const alone = await times()

  const ending = new AbortController()
  let answered = 0
  let refused = 0
  /** Keeps one request waiting; one that is refused for the crowd comes again when the server says. */
  async function crowd(index: number): Promise<void> {
    while (!ending.signal.aborted) {
      const body = { strategy: 'majority', samples: 8 }
      const { status, retryMs } = await ask('heavy', index, body, ending.signal).catch(() => GONE)
      if (status === 200) answered += 1
      if (status === 503) refused += 1
      if (status !== 200) await delay(retryMs, undefined, { signal: ending.signal }).catch(() => {})
    }
  }
  const crowds = Array.from({ length: HEAVY_REQUESTS }, (_, index) => crowd(index))
  const metric = async (name: string) => {
    const response = await fetch(`${service.origin}/metrics`, {
      headers: { authorization: `Bearer ${keyOf('heavy')}` },
    })
    return Number(new RegExp(`^${name}\\{.*\\} (\\S+)$`, 'm').exec(await response.text())?.[1])
  }
  while (answered < 5) await delay(50)
  const waiting = await metric('circadian:num_requests_waiting')
  const before = answered
  const crowded = await times()
  const served = answered - before
  ending.abort()
  await Promise.all(crowds)

  const p95 = (sorted: readonly number[]) => sorted[Math.ceil(0.95 * sorted.length) - 1]!
  // Figures for people: on a machine that runs other tests, too, they hold the waits for its processors.
  console.info({ aloneP95: p95(alone), crowdedP95: p95(crowded), waiting, served, refused })
  expect(waiting).toBeGreaterThan(10)
  // The crowd is refused for its own rows, and served all the same; `times` has seen that the other one never is refused.
  expect(refused).toBeGreaterThan(0)
  expect(served).toBeGreaterThan(0)
}, 240_000)
