/** @file Killed processes, and the errors of failed starts. */

import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Solution } from '#solving'
import { makeProblems } from '../../models/order-of-operations/problems.ts'
import { childrenOf, runToExit, startService, temporaryFolder } from '../support/service-process.ts'
import { dataFolder } from '../support/test-database.ts'

const problems = makeProblems({ split: 'heldout', count: 64, seed: 93 })

describe('killed', () => {
  test('an engine process killed during requests: they are retried, and the API goes on', async () => {
    await using folder = await dataFolder()
    await using service = await startService({ DATA_DIR: folder.path })
    const [engine] = await childrenOf(service.process.pid!)
    const asked = problems.map(({ question }, seed) => {
      return service.ask<Solution>('/solve', { body: { question, strategy: 'latentseek', seed } })
    })
    await Promise.race(asked)
    process.kill(engine!, 'SIGKILL')
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([])
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(statuses.length / 2)

    const after = await service.ask('/solve', { body: { question: problems[0]!.question } })
    expect(after.status).toBe(200)
    expect(await childrenOf(service.process.pid!)).not.toContain(engine)
  })

  test('the API killed with SIGKILL under load: every acknowledged episode is there after a restart', async () => {
    await using folder = await dataFolder()
    const acknowledged: string[] = []
    {
      await using service = await startService({ DATA_DIR: folder.path })
      const [engine] = await childrenOf(service.process.pid!)
      const lanes = Array.from({ length: 8 }, async (_, lane) => {
        for (let index = lane; ; index += 8) {
          const { question } = problems[index % problems.length]!
          const answer = await service
            .ask<Solution>('/solve', { body: { question, strategy: 'greedy' } })
            .catch(() => null)
          if (answer === null) return
          if (answer.body.episodeId) acknowledged.push(answer.body.episodeId)
        }
      })
      while (acknowledged.length < 40) await setTimeout(5)
      await service.kill('SIGKILL')
      await Promise.all(lanes)
      await expect.poll(() => isAlive(engine!), { timeout: 10_000 }).toBe(false)
    }
    await using service = await startService({ DATA_DIR: folder.path })
    for (const id of acknowledged) expect((await service.ask(`/episodes/${id}`)).status).toBe(200)
  })

  test('SIGTERM lets requests in flight finish and exits with 0', async () => {
    await using folder = await dataFolder()
    await using service = await startService({ DATA_DIR: folder.path })
    const asked = problems.slice(0, 16).map(({ question }) => {
      return service.ask<Solution>('/solve', { body: { question, strategy: 'latentseek' } })
    })
    await Promise.race(asked)
    const exit = service.kill('SIGTERM')
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(asked.map(() => 200))
    expect(await exit).toBe(0)
  })

  test('after SIGTERM it listens for DRAIN_DELAY_MS and answers 503 with Retry-After', async () => {
    await using folder = await dataFolder()
    const drainMs = 1500
    await using service = await startService({ DATA_DIR: folder.path, DRAIN_DELAY_MS: String(drainMs) })
    const asked = problems.slice(0, 8).map(({ question }) => {
      return service.ask<Solution>('/solve', { body: { question, strategy: 'latentseek' } })
    })
    await Promise.race(asked)
    const stopped = performance.now()
    const exit = service.kill('SIGTERM')
    await expect.poll(async () => (await fetch(`${service.origin}/readyz`)).status).toBe(503)
    const refused = await fetch(`${service.origin}/episodes`)
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('5')
    expect(await refused.json()).toMatchObject({ code: 'SHUTTING_DOWN' })
    expect((await service.ask('/livez')).status).toBe(200)
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(asked.map(() => 200))
    expect(await exit).toBe(0)
    expect(performance.now() - stopped).toBeGreaterThanOrEqual(drainMs)
  })
})

describe('a failed start', () => {
  test('port in use', async () => {
    await using folder = await temporaryFolder()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const { code, stderr } = await runToExit({ DATA_DIR: folder.path, PORT: String(port) })
    server.close()
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`^circadian: PORT_TAKEN: listen on 127.0.0.1:${port}: .*\\n$`))
  })

  test('data directory in use by another instance', async () => {
    await using folder = await dataFolder()
    await using first = await startService({ DATA_DIR: folder.path })
    const { code, stderr } = await runToExit({ DATA_DIR: folder.path, PORT: '0' })
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`^circadian: DATA_DIR_LOCKED: .*process ${first.process.pid}.*\\n$`))
  })

  test('data directory is a file', async () => {
    const { code, stderr } = await runToExit({ DATA_DIR: 'package.json', PORT: '0' })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^circadian: DATA_DIR_UNWRITABLE: .*\n$/)
  })

  test('model directory is empty', async () => {
    await using folder = await temporaryFolder()
    await mkdir(`${folder.path}/model`)
    const env = { DATA_DIR: `${folder.path}/data`, MODEL_DIR: `${folder.path}/model`, PORT: '0' }
    const { code, stderr } = await runToExit(env)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^circadian: MODEL_INVALID: .*config\.json.*\n$/)
  })

  test('an address beyond loopback needs a key, or ALLOW_ANONYMOUS=true', async () => {
    await using folder = await dataFolder()
    const { code, stderr } = await runToExit({ DATA_DIR: folder.path, HOST: '0.0.0.0', PORT: '0' })
    expect(code).toBe(78)
    expect(stderr).toMatch(
      /^circadian: CONFIG_INVALID: HOST: .*circadian keys create.*ALLOW_ANONYMOUS=true.*\n$/,
    )
  })

  test('invalid settings are all named in one message', async () => {
    const { code, stderr } = await runToExit({ PORT: '-1', REDIS_URL: 'redis://127.0.0.1' })
    expect(code).toBe(78)
    expect(stderr).toMatch(/^circadian: CONFIG_INVALID: .*PORT.*REDIS_URL.*\n$/)
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
