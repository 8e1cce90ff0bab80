/** @file The service as `npm start` runs it, in a process of its own, on a free port. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Solution, SolveRequest } from '#solving'
import { freePort } from '../../test/support/service-process.ts'
import type { EventLoopDelay } from './event-loop-probe.ts'

const ROOT = join(import.meta.dirname, '../..')

/** Switches nights off: training would disturb the timing. */
const NO_NIGHTS = { NIGHT_EVERY_EPISODES: '0', NIGHT_EVIDENCE_QUESTIONS: '0' }

export interface RunningService {
  readonly origin: string
  readonly pid: number
  /** Milliseconds from spawn to the first 200 of `/readyz`. */
  readonly readyMs: number
  solve(body: Partial<SolveRequest>): Promise<Solution>
  /** Delays of the API's event loop since the last call. */
  eventLoopDelay(): Promise<EventLoopDelay>
  stop(): Promise<void>
}

export async function startService(dataDir: string, logLevel = 'warn'): Promise<RunningService> {
  const started = performance.now()
  const port = await freePort()
  const service = spawn(
    process.execPath,
    ['--import', join(import.meta.dirname, 'event-loop-probe.ts'), 'src/main.ts'],
    {
      cwd: ROOT,
      env: {
        PATH: process.env['PATH'],
        PORT: String(port),
        DATA_DIR: dataDir,
        LOG_LEVEL: logLevel,
        ...NO_NIGHTS,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  )
  const origin = `http://127.0.0.1:${port}`
  await ready(origin, service)
  return {
    origin,
    pid: service.pid ?? 0,
    readyMs: performance.now() - started,
    async solve(body) {
      const response = await fetch(`${origin}/solve`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      if (!response.ok)
        throw new Error(`solve: expected 200, got ${response.status} ${await response.text()}`)
      return (await response.json()) as Solution
    },
    async eventLoopDelay() {
      const answer = once(service, 'message')
      service.send('read')
      const [delay] = await answer
      return delay as EventLoopDelay
    },
    async stop() {
      const exited = once(service, 'exit')
      service.kill('SIGTERM')
      await exited
    },
  }
}

async function ready(origin: string, service: ChildProcess): Promise<void> {
  for (;;) {
    if (service.exitCode !== null)
      throw new Error(`service: expected it to become ready, got exit ${service.exitCode}`)
    const response = await fetch(`${origin}/readyz`).catch(() => null)
    await response?.arrayBuffer()
    if (response?.ok) return
    await setTimeout(10)
  }
}
