/** @file Questions that are answered in the background: answered, cancelled, failed, and after a kill. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { type ServiceProcess, startService } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

interface Record {
  readonly status: string
  readonly solution?: Solution
  readonly problem?: { readonly code: string }
}

async function post({ origin }: ServiceProcess, body: object): Promise<string> {
  const response = await fetch(`${origin}/solve`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'respond-async' },
    body: JSON.stringify(body),
  })
  expect(response.status).toBe(202)
  return response.headers.get('location')!
}

async function ended(service: ServiceProcess, path: string): Promise<Record> {
  for (;;) {
    const { body } = await service.ask<Record & { finishedAt: string | null }>(path)
    if (body.finishedAt !== null) return body
    await delay(50)
  }
}

test('questions are answered in the background, once, also when the process is killed meanwhile', async () => {
  await using folder = await dataFolder()
  const called: string[] = []
  const receiver = createServer((request, response) => {
    const isFirst = called.push(String(request.headers['webhook-id'])) === 1
    response.writeHead(isFirst ? 500 : 200).end()
  }).listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  const { port } = receiver.address() as AddressInfo
  const env = {
    DATA_DIR: folder.path,
    WEBHOOK_SECRET: 'a secret of some length',
    WEBHOOK_PRIVATE: 'true',
  }
  const paths: string[] = []
  {
    await using service = await startService(env)
    const [first, ...others] = makeProblems({ split: 'train', count: 13, seed: 3 })
    const webhook = `http://127.0.0.1:${port}/hook`
    const path = await post(service, { question: first!.question, seed: 5, strategy: 'greedy', webhook })
    const { status, solution } = await ended(service, path)
    expect(status).toBe('succeeded')
    expect(path).toBe(`/solutions/${solution!.id}`)
    expect(solution!.episodeId).toBe(solution!.id)
    const direct = await service.ask<Solution>('/solve', {
      body: { question: first!.question, seed: 5, strategy: 'greedy', learn: false },
    })
    expect(solution!.answer).toBe(direct.body.answer)

    const tooLong = await ended(service, await post(service, { question: 'one plus '.repeat(1_500) }))
    expect(tooLong).toMatchObject({ status: 'failed', problem: { code: 'PROMPT_TOO_LONG' } })

    while (called.length < 2) await delay(50)
    expect(called).toEqual([solution!.id, solution!.id])
    receiver.close()

    for (const { question } of others)
      paths.push(await post(service, { question, strategy: 'majority', samples: 32 }))
    const cancelled = paths.pop()!
    expect((await service.ask<Record>(cancelled, { method: 'DELETE' })).body.status).toBe('cancelled')
    expect((await service.ask<Record>(cancelled)).body.status).toBe('cancelled')
    await ended(service, paths[0]!)
    await service.kill('SIGKILL')
  }
  await using service = await startService(env)
  for (const path of paths) expect((await ended(service, path)).status, path).toBe('succeeded')
  const { body } = await service.ask<{ episodes: { id: string }[] }>('/episodes?limit=100')
  const ids = body.episodes.map(({ id }) => `/solutions/${id}`)
  expect(ids).toEqual(expect.arrayContaining(paths))
  // The first question, too; neither the failed nor the cancelled one.
  expect(ids).toHaveLength(paths.length + 1)
  // The answer goes with its episode.
  expect((await service.ask(paths[0]!.replace('solutions', 'episodes'), { method: 'DELETE' })).status).toBe(
    204,
  )
  expect((await service.ask(paths[0]!)).status).toBe(404)
}, 120_000)
